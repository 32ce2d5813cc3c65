import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { endCommands, left, startCommand, until } from './command.ts';

afterEach(endCommands);

describe('--help', () => {
  it.each([
    ['start', /Ctrl\+C stops everything/],
    ['test', /lint, typecheck, build, docs, unit, chart, integration/],
    ['setup', /Installs what this machine lacks/],
  ])('of npm run %s is all it prints', async (name, text) => {
    const command = startCommand([`scripts/${name}.mjs`, '--help']);
    expect(await command.closed).toBe(0);
    expect(command.stdout).toMatch(text);
    expect(command.stderr).toBe('');
  });
});

describe('npm test', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends its checks on %s and exits with %d', async (signal, code) => {
    // Two at once.
    const only = ['--only', 'lint', '--only', 'typecheck'];
    const command = startCommand(['scripts/test.mjs', ...only]);
    await until(() => left(command).length > 1, 'both checks run');
    command.child.kill(signal);
    expect(await command.closed).toBe(code);
    expect(left(command)).toEqual([]);
    expect(command.stdout).toBe('');
  });
});

describe('npm test with specs that fail', () => {
  const ALWAYS = `it('adds', () => expect(1 + 1).toBe(3));
    it('is well besides', () => {});`;
  /** Also keeps count of its runs. */
  const FIRST_TIME_ONLY = `const { appendFileSync, readFileSync } = require('node:fs');
    it('is well besides', () => {});
    it('hears in time', () => {
      appendFileSync(__filename + '.runs', '.');
      expect(readFileSync(__filename + '.runs', 'utf8').length).toBeGreaterThan(1);
    });`;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'voice-fleet-flaky-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const runs = (path: string) => readFileSync(join(folder, `${path}.runs`), 'utf8').length;

  /** Runs the specs in `folder`, those of each project being in the folder of its name. */
  async function npmTest(...projects: readonly string[]) {
    const config = join(folder, 'jest.config.json');
    const described = projects.map((project) => ({
      displayName: project,
      rootDir: folder,
      testMatch: [`<rootDir>/${project}/*.spec.cjs`],
      transform: {},
    }));
    writeFileSync(config, JSON.stringify({ projects: described }));
    const only = projects.flatMap((project) => ['--only', project]);
    const command = startCommand(['scripts/test.mjs', '--config', config, ...only]);
    const code = await command.closed;
    return { code, last: command.stdout, told: command.stderr };
  }

  it('passes what fails the first time only, and names it', async () => {
    write('integration/moody.spec.cjs', FIRST_TIME_ONLY);
    const { code, last, told } = await npmTest('integration');
    expect(last).toBe('2 passed, 0 failed, 1 flaky\n');
    expect(told).toMatch(
      /^ok {3}integration +2 passed, 0 failed .*\nFLAKY \S+moody\.spec\.cjs: hears in time$/m,
    );
    expect(code).toBe(0);
  });

  it('fails for what fails again, and for a file that cannot be loaded', async () => {
    write('alone/wrong.spec.cjs', ALWAYS);
    write('alone/broken.spec.cjs', "require('./not-there.cjs');");
    write('alone/moody.spec.cjs', FIRST_TIME_ONLY);
    const { code, last, told } = await npmTest('alone');
    expect(last).toBe('3 passed, 2 failed, 1 flaky\n');
    expect(told).toMatch(/^FLAKY \S+moody/m);
    expect(told).not.toMatch(/^FLAKY \S+(wrong|broken)/m);
    expect(code).toBe(1);
  });

  it('runs nothing again of more than three files', async () => {
    const files = ['a', 'b', 'c', 'd'].map((name) => `integration/${name}.spec.cjs`);
    for (const file of files) write(file, FIRST_TIME_ONLY);
    const { code, last } = await npmTest('integration');
    expect(last).toBe('4 passed, 4 failed\n');
    expect(files.map(runs)).toEqual([1, 1, 1, 1]);
    expect(code).toBe(1);
  });

  it('runs no unit spec again', async () => {
    write('unit/moody.spec.cjs', FIRST_TIME_ONLY);
    const { code, last } = await npmTest('unit');
    expect(last).toBe('1 passed, 1 failed\n');
    expect(runs('unit/moody.spec.cjs')).toBe(1);
    expect(code).toBe(1);
  });
});

describe('installing npm packages', () => {
  /** An npm that installs nothing, in half a second. */
  const SLOW_NPM = 'setTimeout(() => {}, 500)';
  /** Makes the seconds between two lines of progress milliseconds. */
  const SHORT_PAUSES = `data:text/javascript,const set = setInterval;
    globalThis.setInterval = (run, delayMs) => set(run, delayMs / 1000);`;

  it('tells that it goes on while npm is silent', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-setup-'));
    try {
      writeFileSync(join(folder, 'npm-cli.js'), SLOW_NPM);
      const source = `import { ensureNodeModules } from './scripts/lib/node-modules.mjs';
        await ensureNodeModules(${JSON.stringify(folder)});`;
      const args = ['--import', SHORT_PAUSES, '--input-type=module', '--eval', source];
      const command = startCommand(args, { npm_execpath: join(folder, 'npm-cli.js') });
      expect(await command.closed).toBe(0);
      expect(command.stderr).toMatch(/^setup +installing npm packages\nsetup +still installing/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
