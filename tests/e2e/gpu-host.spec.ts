import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { endCommands, startCommand, until } from './command.ts';
import { API_KEY, Host } from './gpu-host/host.ts';

/** No Redis of our own: faster, where it does not matter. */
const NO_REDIS = { REDIS_URL: 'redis://127.0.0.1:1' };

let host: Host;
const supervisorPid = (): number =>
  Number(readFileSync(join(host.runDir, 'server.pid'), 'utf8').split(' ')[0]);

afterEach(async () => {
  await endCommands();
  const left = host.processes();
  host.destroy();
  // Whatever the test was about, the host has to have ended what it started.
  expect(left).toEqual([]);
});

describe('npm run gpu', () => {
  beforeEach(async () => {
    host = await Host.make('stand-ins');
  });

  it.each(['start', 'stop', 'restart', 'status', 'doctor', 'tail', 'warmup'])(
    '%s --help is all it prints',
    async (name) => {
      const { code, stdout, stderr } = await host.run([name, '--help']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(new RegExp(`^npm run gpu -- ${name} `));
    },
  );

  it('lists its commands, and refuses others and wrong options with a code of their own', async () => {
    expect((await host.run(['--help'])).stdout).toMatch(/start .*\n +stop .*\n +restart /);
    expect(await host.run(['begin'])).toMatchObject({ code: 64, stdout: '' });
    expect(await host.run(['status', '--jsn'])).toMatchObject({ code: 64, stdout: '' });
  });

  it('Y50: start, double start, status, tail, restart and stop leave no process behind', async () => {
    const started = await host.run(['start']);
    expect(started).toMatchObject({ code: 0, stdout: '' });
    expect(started.stderr.match(/\[\d\/7\]/g)).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((n) => `[${n}/7]`),
    );
    expect(started.stderr).toContain('GPU: NVIDIA L40S, 46068 MiB');
    const first = supervisorPid();
    // It leads a session of its own: Ctrl+C and the end of the terminal do not reach it.
    const [, session] = / \d+ \d+ (\d+) /.exec(readFileSync(`/proc/${first}/stat`, 'utf8')) ?? [];
    expect(session).toBe(String(first));
    expect(host.exists('.run/.voice-fleet-run')).toBe(true);

    expect(await host.run(['start'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(`Already running \\(pid ${first}\\)`),
    });
    const report = await host.status();
    expect(report).toMatchObject({
      status: 'running',
      pid: first,
      ready: true,
      slots: 4,
      leased: 1,
    });
    expect(report.children.map(({ name, ready, restarts }) => [name, ready, restarts])).toEqual([
      ['redis', true, 0],
      ['vllm', true, 0],
      ['asr-worker', true, 0],
      ['gateway', true, 0],
    ]);
    // The ports of the start count, not those of this shell.
    const table = await host.run(['status'], { SERVER_PORT: '', REDIS_PORT: '', VLLM_PORT: '' });
    expect(table.code).toBe(0);
    expect(table.stdout).toMatch(/^running for \d+s: ready, 1 of 4 slots in use\n/);
    expect(table.stdout).toMatch(
      /redis .* yes .*\nvllm .* yes .*\nasr-worker .* yes .*\ngateway +\d+ +\d+s +yes +0/,
    );

    const tail = host.start(['tail', '--lines', '2']);
    await until(() => tail.stdout.split('\n').length >= 3, 'last lines are printed');
    expect(tail.stdout).toMatch(/^(\S+ .*\n){2}$/);
    tail.child.kill('SIGINT');
    expect(await tail.closed).toBe(0);
    expect(supervisorPid()).toBe(first);

    expect(await host.run(['restart'], { VOXTRAL_API_KEY: '' })).toMatchObject({ code: 1 });
    expect((await host.status())['pid']).toBe(first);
    expect(await host.run(['restart'])).toMatchObject({ code: 0 });
    expect(supervisorPid()).not.toBe(first);

    expect(host.processes().length).toBeGreaterThanOrEqual(7);
    expect(await host.run(['stop'])).toMatchObject({ code: 0, stderr: 'Stopped.\n' });
    expect(host.processes()).toEqual([]);
    expect(host.exists('.run/server.pid')).toBe(false);
    expect(await host.run(['stop'])).toMatchObject({ code: 0, stderr: 'Not running.\n' });
    expect(await host.run(['status'])).toMatchObject({ code: 3, stdout: 'not running\n' });
    // Sessions end before the worker, and the worker before what it works with.
    expect(
      host
        .log()
        .match(/^(gateway|asr-worker|vllm) .*"ending"/gm)
        ?.slice(-3),
    ).toEqual([
      expect.stringMatching(/^gateway/),
      expect.stringMatching(/^asr-worker/),
      expect.stringMatching(/^vllm/),
    ]);
  });

  it('Y50: Ctrl+C on the tail after a start leaves the servers up; tail ends with them', async () => {
    const started = host.start(['start'], { ...NO_REDIS, TAIL_LOGS: '' });
    await until(() => started.stderr.includes('[7/7]'), 'follows the log');
    started.child.kill('SIGINT');
    expect(await started.closed).toBe(0);
    expect(started.stderr).toContain('The servers are left alone');
    const tail = host.start(['tail']);
    await until(() => tail.stdout.includes('"ready"'), 'the log is printed');
    expect((await host.status())['ready']).toBe(true);
    expect((await host.run(['stop'])).code).toBe(0);
    expect(await tail.closed).toBe(0);
    expect(tail.stdout).toContain('"stopped"');
  });

  it('Ctrl+C while the servers start leaves them starting', async () => {
    const started = host.start(['start'], { ...NO_REDIS, STAND_IN_GATEWAY: 'never-ready' });
    await until(() => started.stderr.includes('[5/7]'), 'started');
    started.child.kill('SIGINT');
    expect(await started.closed).toBe(0);
    expect(await host.status()).toMatchObject({
      status: 'running',
      phase: 'starting',
      ready: false,
    });
    expect((await host.run(['stop'])).code).toBe(0);
  });

  it('shows the last lines of a server that ends during the start, and stops all', async () => {
    const { code, stderr } = await host.run(['start'], {
      ...NO_REDIS,
      STAND_IN_ASR_WORKER: 'ends',
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/asr-worker: ended by itself \(3\)\. Its last lines:\n/);
    expect(stderr).toContain('  the card has fallen off the bus\n');
    expect(host.processes()).toEqual([]);
    expect(await host.run(['status'])).toMatchObject({
      code: 3,
      stdout: 'not running; the last start failed: asr-worker: ended by itself (3)\n',
    });
  });

  it('gives up after HEALTH_TIMEOUT_S, names who is not ready, and stops all', async () => {
    const env = { ...NO_REDIS, STAND_IN_GATEWAY: 'never-ready', HEALTH_TIMEOUT_S: '6' };
    const { code, stderr } = await host.run(['start'], env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/\[6\/7\] +waiting for .*gateway \(5 of 6 s\)/);
    expect(stderr).toContain('gateway: not ready after 6 s');
    expect(host.processes()).toEqual([]);
  });

  it('starts a server again that ends later, and says so', async () => {
    expect((await host.run(['start'], NO_REDIS)).code).toBe(0);
    const before = (await host.status()).children.find(({ name }) => name === 'vllm');
    process.kill(before?.pid ?? 0, 'SIGKILL');
    await until(() => (host.log().match(/^vllm .*"listening"/gm) ?? []).length === 2, 'again');
    expect(host.log()).toMatch(/"child_restarting","child":"vllm","how":"SIGKILL","pauseMs":1000/);
    const { ready, children } = await host.status();
    expect(ready).toBe(true);
    const after = children.find(({ name }) => name === 'vllm');
    expect(after).toMatchObject({ ready: true, restarts: 1, lastExit: 'SIGKILL' });
    expect(after?.pid).not.toBe(before?.pid);
    expect((await host.run(['stop'])).code).toBe(0);
  });

  it('kills whole groups that do not end within STOP_TIMEOUT_S', async () => {
    const env = { ...NO_REDIS, STOP_TIMEOUT_S: '0.5' };
    const stubborn = { STAND_IN_ASR_WORKER: 'stubborn', STAND_IN_VLLM: 'stubborn' };
    expect((await host.run(['start'], { ...env, ...stubborn })).code).toBe(0);
    const since = Date.now();
    expect(await host.run(['stop'], env)).toMatchObject({ code: 0, stderr: 'Stopped.\n' });
    expect(Date.now() - since).toBeLessThan(5_000);
    expect(host.log()).toMatch(/"stopped","killed":"vllm asr-worker"/);
    expect(host.processes()).toEqual([]);
  });

  it.each(['stop', 'start'])(
    'a killed supervisor is stale, and %s clears what it left',
    async (name) => {
      const env = { ...NO_REDIS, STAND_IN_ASR_WORKER: 'stubborn', STOP_TIMEOUT_S: '0.5' };
      expect((await host.run(['start'], env)).code).toBe(0);
      const pid = supervisorPid();
      process.kill(pid, 'SIGKILL');
      const { code, stdout } = await host.run(['status']);
      expect({ code, stdout }).toEqual({
        code: 1,
        stdout: expect.stringMatching(
          `^stale: the supervisor \\(pid ${pid}\\) is gone; left over: \\d+`,
        ),
      });
      expect((await host.run([name], env)).code).toBe(0);
      expect(host.processes().length > 0).toBe(name === 'start');
      if (name === 'start') expect((await host.run(['stop'], env)).code).toBe(0);
    },
  );

  it('ends also a supervisor that hangs', async () => {
    const env = { ...NO_REDIS, STOP_TIMEOUT_S: '0.1' };
    expect((await host.run(['start'], env)).code).toBe(0);
    process.kill(supervisorPid(), 'SIGSTOP');
    const { code, stderr } = await host.run(['stop'], env);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^Stopped; \d+ processes had to be killed/);
    expect(host.processes()).toEqual([]);
  });

  it('never signals a process that has got the number of an old one', async () => {
    const stranger = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)'], {
      detached: true,
    });
    const pid = stranger.pid ?? 0;
    try {
      const old = { pid, since: 'before/1' };
      host.write('.run/server.pid', `${pid} ${old.since}\n`);
      const children = [{ name: 'vllm', family: [old] }];
      host.write('.run/state.json', JSON.stringify({ phase: 'ready', supervisor: old, children }));
      expect((await host.run(['status'])).code).toBe(1);
      expect(await host.run(['stop'])).toMatchObject({ code: 0, stderr: 'Not running.\n' });
      expect((await host.run(['status'])).code).toBe(3);
      expect(stranger.kill(0)).toBe(true);
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    } finally {
      stranger.kill('SIGKILL');
      await once(stranger, 'exit');
    }
  });

  it('of two starts at the same time one is refused', async () => {
    const env = { ...NO_REDIS, RUN_VLLM: '0' };
    const both = await Promise.all([host.run(['start'], env), host.run(['start'], env)]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
    expect(both.find(({ code }) => code === 1)?.stderr).toMatch(/Already running|Taken by another/);
    // Should both get past the first look, the pid file decides.
    const second = startCommand([`${host.root}/scripts/lib/gpu-host/supervisor.mjs`], {
      ...host.env,
      ...env,
    });
    expect(await second.closed).toBe(3);
    expect((host.log().match(/"supervisor_started"/g) ?? []).length).toBe(1);
    expect((await host.status())['status']).toBe('running');
    expect((await host.run(['stop'])).code).toBe(0);
  });

  it('does not start without a key, with a taken port, or with a number that cannot be meant', async () => {
    expect(await host.run(['start'], { VOXTRAL_API_KEY: ' ' })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^VOXTRAL_API_KEY is not set/),
    });
    const other = createServer().listen(Number(host.env['VLLM_PORT']), '127.0.0.1').unref();
    await once(other, 'listening');
    expect(await host.run(['start'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(`Taken by another program: VLLM_PORT ${host.env['VLLM_PORT']}`),
    });
    other.close();
    expect(await host.run(['start'], { STOP_TIMEOUT_S: 'soon' })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^STOP_TIMEOUT_S takes a number from 0.1 to 600, not "soon"/),
    });
    expect(existsSync(host.runDir)).toBe(false);
  });

  it('warms up with one recording and then eight at a time, unless told otherwise', async () => {
    const client = 'packages/client/src/cli/main.ts';
    const print = 'console.log(process.argv.slice(2).join(" "));';
    host.remove('packages');
    host.write(client, print);
    const server = `--server 127.0.0.1:${host.env['SERVER_PORT']}`;
    expect(await host.run(['warmup'])).toMatchObject({
      code: 0,
      stdout: `warmup ${server}\nbench --n 8 --concurrency 8 ${server}\n`,
    });
    host.write(client, `${print} process.exit(5);`);
    expect(await host.run(['warmup', '--speed', '4'])).toMatchObject({
      code: 5,
      stdout: `warmup ${server} --speed 4\n`,
    });
  });
});

describe('npm run gpu with the real servers', () => {
  beforeEach(async () => {
    host = await Host.make('real');
  });

  it('names the command that makes the venv when there is no vllm', async () => {
    const venvDir = join(host.root, 'no venv');
    const { code, stderr } = await host.run(['start'], { VENV_DIR: venvDir, PATH: host.bin });
    expect(code).toBe(1);
    const bin = `'${venvDir}/bin`;
    expect(stderr).toContain(
      `python3 -m venv '${venvDir}' && ${bin}/pip' install uv && ${bin}/uv' pip install`,
    );
    expect(stderr).toMatch(/--torch-backend cu\d+ .*vllm==/);
  });

  it('starts vLLM through its launcher, transcribes a recording, and stops', async () => {
    const env = { ASR_ENGINE: 'pocketsphinx', RUN_VLLM: '1' };
    const started = await host.run(['start'], env);
    expect({ code: started.code, stderr: started.stderr }).toMatchObject({ code: 0 });
    expect(host.log()).toMatch(/^vllm +stand-in vllm serves serve .*--port \d+/m);
    const { ready, slots, children } = await host.status();
    expect({ ready, names: children.map(({ name }) => name) }).toEqual({
      ready: true,
      names: ['redis', 'vllm', 'asr-worker', 'gateway'],
    });
    expect(slots).toBeGreaterThan(0);
    const warmup = await host.run(['warmup', '--n', '1', '--concurrency', '1', '--speed', '4']);
    expect(warmup).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('1/1 done: 1 ok'),
      stdout: expect.stringContaining('1 transcribed'),
    });
    expect(await host.run(['stop'], env)).toMatchObject({ code: 0, stderr: 'Stopped.\n' });
    expect(host.log()).not.toContain(API_KEY);
    expect(host.processes()).toEqual([]);
  });
});
