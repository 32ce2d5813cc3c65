import { existsSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { endCommands, startCommand } from '../command.ts';
import { Host } from './host.ts';

const ALL = ['.venv', 'models/voxtral', '.run'];

let host: Host;
beforeEach(async () => {
  host = await Host.make('stand-ins');
  host.write('.run/.voice-fleet-run', '');
  host.write('.run/server.log', 'a line\n');
});
afterEach(async () => {
  await endCommands();
  host.destroy();
});

describe('npm run gpu -- stop --nuke', () => {
  it('Y51: without NUKE=1 exits with 2, deletes nothing and stops nothing', async () => {
    const env = { REDIS_URL: 'redis://127.0.0.1:1', RUN_VLLM: '0' };
    expect((await host.run(['start'], env)).code).toBe(0);
    for (const NUKE of ['', '0', 'yes']) {
      const { code, stderr } = await host.run(['stop', '--nuke'], { NUKE });
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('NUKE=1') });
    }
    expect((await host.run(['stop'], { FULL_CLEANUP: '1' })).code).toBe(2);
    expect((await host.status())['ready']).toBe(true);
    expect(ALL.filter((path) => !host.exists(path))).toEqual([]);

    expect((await host.run(['stop', '--nuke'], { NUKE: '1' })).code).toBe(0);
    expect(host.processes()).toEqual([]);
    expect(ALL.filter((path) => host.exists(path))).toEqual([]);
    expect(
      ['scripts', 'services', 'node_modules', 'models'].every((path) => host.exists(path)),
    ).toBe(true);
  });

  it('FULL_CLEANUP=1 is another word for it', async () => {
    expect((await host.run(['stop'], { FULL_CLEANUP: '1', NUKE: '1' })).code).toBe(0);
    expect(ALL.filter((path) => host.exists(path))).toEqual([]);
    expect((await host.run(['stop', '--nuke'], { NUKE: '1' })).stderr).toContain(
      'Nothing to delete',
    );
  });

  it('plain stop keeps everything, also with NUKE=1', async () => {
    expect((await host.run(['stop'], { NUKE: '1' })).code).toBe(0);
    expect(ALL.filter((path) => !host.exists(path))).toEqual([]);
  });

  // Asked only: what is wrong here must not delete the machine.
  it.each([
    ['the root folder', '/'],
    ['a folder of the system', '/usr'],
    ['the folder above the checkout', '..'],
    ['a home folder', homedir()],
  ])('Y51: refuses %s', async (_, path) => {
    const source = `
      import { nukeTargets } from '${host.root}/scripts/lib/gpu-host/nuke.mjs';
      import { readSettings } from '${host.root}/scripts/lib/gpu-host/settings.mjs';
      console.log(nukeTargets(readSettings()).join());`;
    for (const name of ['VENV_DIR', 'VOXTRAL_MODEL_DIR', 'SERVER_LOG_FILE']) {
      const env = { ...host.env, HOME: homedir(), [name]: path };
      const command = startCommand(['--input-type=module', '--eval', source], env);
      expect(await command.closed).toBe(1);
      expect(command.stdout).toBe('');
      expect(command.stderr).toContain(`Nothing was deleted.\n${name}=`);
    }
  });

  it.each([
    ['the home folder of now', 'VENV_DIR', () => join(host.root, 'home')],
    ['the checkout', 'VENV_DIR', () => '.'],
    ['a folder of the checkout that is something else', 'VENV_DIR', () => 'scripts'],
    ['a folder that is no model', 'VOXTRAL_MODEL_DIR', () => join(host.root, 'mine')],
    ['the checkout behind a link', 'VENV_DIR', () => join(host.root, 'link', basename(host.root))],
    ['a folder in place of a file', 'SERVER_LOG_FILE', () => join(host.root, 'mine')],
    ['a ~ that no shell has expanded', 'VENV_DIR', () => '~'],
  ])('Y51: refuses %s and then deletes nothing at all', async (_, name, path) => {
    host.write('mine/thesis.txt', '');
    host.write('home/letter.txt', '');
    // Looks like a venv in every respect.
    host.write('pyvenv.cfg', '');
    host.write('home/pyvenv.cfg', '');
    symlinkSync(dirname(host.root), join(host.root, 'link'));
    const { code, stderr } = await host.run(['stop', '--nuke'], { NUKE: '1', [name]: path() });
    expect(code).toBe(path() === '~' ? 1 : 2);
    expect(stderr).toContain(name);
    expect(ALL.filter((one) => !host.exists(one))).toEqual([]);
    expect(['mine/thesis.txt', 'home/letter.txt', 'scripts'].every((one) => host.exists(one))).toBe(
      true,
    );
  });

  it('deletes folders elsewhere that the environment names and that are what they should be', async () => {
    host.write('elsewhere/env/pyvenv.cfg', '');
    host.write('elsewhere/model/tekken.json', '{}');
    const { code } = await host.run(['stop', '--nuke'], {
      NUKE: '1',
      VENV_DIR: join(host.root, 'elsewhere/env'),
      VOXTRAL_MODEL_DIR: join(host.root, 'elsewhere/model'),
    });
    expect(code).toBe(0);
    expect(host.exists('elsewhere/env') || host.exists('elsewhere/model')).toBe(false);
    expect(host.exists('elsewhere') && host.exists('.venv') && host.exists('models/voxtral')).toBe(
      true,
    );
  });

  it('takes only its own files from a run folder that it has not made', async () => {
    const runDir = join(host.root, 'shared');
    host.write('shared/thesis.txt', '');
    host.write('shared/server.log', '');
    expect((await host.run(['stop', '--nuke'], { NUKE: '1', VF_RUN_DIR: runDir })).code).toBe(0);
    expect(host.exists('shared/thesis.txt')).toBe(true);
    expect(host.exists('shared/server.log')).toBe(false);
  });

  it('deletes a link to a model, not the model', async () => {
    host.write('cache/tekken.json', '{}');
    symlinkSync(join(host.root, 'cache'), join(host.root, 'models/linked'));
    const model = join(host.root, 'models/linked');
    expect((await host.run(['stop', '--nuke'], { NUKE: '1', VOXTRAL_MODEL_DIR: model })).code).toBe(
      0,
    );
    expect(existsSync(model)).toBe(false);
    expect(host.exists('cache/tekken.json')).toBe(true);
  });
});
