import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';

const home = mkdtempSync(join(tmpdir(), 'voice-fleet-home-'));
afterAll(() => rmSync(home, { recursive: true }));

it('lets ONNX Runtime note down nothing about the machine and its user', () => {
  const source = `
    import { systemClock } from '@voice-fleet/runtime/clock';
    import { SileroThread } from './silero-thread-handle.ts';
    const thread = new SileroThread(systemClock, {
      onReady: () => { console.log('ready'); void thread.stop(); },
      onStep: () => {},
      onDown: (how) => console.log(how),
    });`;
  const args = ['--conditions=source', '--import', 'tsx', '--input-type=module', '--eval', source];
  const { ORT_DISABLE_TELEMETRY: _, ...env } = process.env;
  const done = spawnSync(process.execPath, args, {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    env: { ...env, HOME: home, XDG_CACHE_HOME: join(home, 'cache'), TMPDIR: tmpdir() },
  });
  expect([done.stdout, done.status]).toEqual(['ready\n', 0]);
  expect(readdirSync(home)).toEqual([]);
});
