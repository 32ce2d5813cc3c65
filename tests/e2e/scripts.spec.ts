import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { endCommands, left, startCommand, until } from './command.ts';

afterEach(endCommands);

describe('--help', () => {
  it.each([
    ['start', /Ctrl\+C stops everything/],
    ['test', /lint, typecheck, build, docs, unit, integration/],
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
  ] as const)(
    'ends its checks on %s and exits with %d',
    async (signal, code) => {
      const command = startCommand(['scripts/test.mjs', '--only', 'typecheck']);
      await until(() => left(command).length > 0, 'a check runs', 15_000);
      command.child.kill(signal);
      expect(await command.closed).toBe(code);
      expect(left(command)).toEqual([]);
      expect(command.stdout).toBe('');
    },
    30_000,
  );
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
