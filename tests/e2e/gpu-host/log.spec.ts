import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { endCommands, startCommand, until } from '../command.ts';
import { API_KEY, Host } from './host.ts';

const NO_VLLM = { RUN_VLLM: '0', REDIS_URL: 'redis://127.0.0.1:1' };

let host: Host;
beforeEach(async () => {
  host = await Host.make('stand-ins');
});
afterEach(async () => {
  await endCommands();
  host.destroy();
});

describe('the log of the GPU host', () => {
  it('Y52: never exceeds LOG_MAX_MB and keeps the newest whole lines', async () => {
    const env = { ...NO_VLLM, LOG_MAX_MB: '0.05', STAND_IN_ASR_WORKER: 'chatty' };
    expect((await host.run(['start'], env)).code).toBe(0);
    const path = join(host.runDir, 'server.log');
    const { ino } = statSync(path);
    let largest = 0;
    const over = (): boolean => {
      largest = Math.max(largest, statSync(path).size);
      return host.log().includes('chatted enough');
    };
    await until(over, 'all lines are written');
    expect((await host.run(['stop'])).code).toBe(0);
    expect(largest).toBeGreaterThan(30_000);
    expect(largest).toBeLessThanOrEqual(50_000);
    expect(statSync(path).ino).toBe(ino);
    const numbers = host
      .log()
      .split('\n')
      .slice(0, -1)
      .map((line) => /^asr-worker {3}line (\d+) x{180}$/.exec(line)?.[1])
      .filter((number) => number !== undefined)
      .map(Number);
    expect(numbers.at(-1)).toBe(8_000);
    expect(numbers).toEqual(numbers.map((_, index) => 8_001 - numbers.length + index));
    // Every other line is whole, too.
    for (const line of host.log().split('\n').slice(0, -1))
      expect(line).toMatch(/^[a-z-]+ +(line \d+ x{180}|\{.*\}|chatted enough)$/);
  });

  it('holds no key, however it was printed', async () => {
    const secrets = {
      HF_TOKEN: 'hf_abcdefghij',
      VLLM_API_KEY: 'upstream-secret',
      REDIS_URL: 'redis://fleet:hunter-two@127.0.0.1:1',
    };
    const env = {
      ...secrets,
      RUN_VLLM: '1',
      STAND_IN_GATEWAY: 'leaks',
      STAND_IN_VLLM: 'leaks',
      STAND_IN_ASR_WORKER: 'leaks',
    };
    expect((await host.run(['start'], env)).code).toBe(0);
    await until(() => host.log().match(/leaked everything/g)?.length === 3, 'all is printed');
    // A failure shows it all.
    const log = host.log().replace(/y{99,}/g, 'yyy');
    const state = readFileSync(join(host.runDir, 'state.json'), 'utf8');
    expect((await host.run(['stop'])).code).toBe(0);
    const spellings = [API_KEY, JSON.stringify(API_KEY).slice(1, -1), encodeURIComponent(API_KEY)];
    for (const secret of [...spellings, secrets.HF_TOKEN, secrets.VLLM_API_KEY, 'hunter-two']) {
      expect(log).not.toContain(secret);
      expect(state).not.toContain(secret);
      // Nor the beginning of it, where a long line is cut.
      expect(log).not.toMatch(new RegExp(`y${secret.slice(0, 4)}`));
    }
    expect(log).toContain('REDIS_URL=redis://[redacted]@127.0.0.1:1');
    // No server is given a key that it does not need.
    const named = (server: string): string[] =>
      [...log.matchAll(new RegExp(`^${server} +(\\w+(?:KEY|TOKEN))=(?=\\[)`, 'gm'))]
        .map(([, name]) => name ?? '')
        .sort();
    expect(named('gateway')).toEqual(['VOXTRAL_API_KEY']);
    expect(named('asr-worker')).toEqual(['VLLM_API_KEY']);
    expect(named('vllm')).toEqual(['HF_TOKEN', 'VLLM_API_KEY']);
  });

  it('goes on in a new file when somebody removes it, and at its end when somebody empties it', async () => {
    const source = `
      import { readFileSync, rmSync, truncateSync } from 'node:fs';
      import { BoundedLog } from './scripts/lib/gpu-host/bounded-log.mjs';
      const path = process.argv[1];
      const log = new BoundedLog(path, 1_000);
      log.append('one'.repeat(20));
      truncateSync(path);
      log.append('two');
      console.log(JSON.stringify(readFileSync(path, 'utf8')));
      rmSync(path);
      log.reopenIfReplaced();
      log.append('three');
      log.append('x'.repeat(5_000));
      console.log(JSON.stringify(readFileSync(path, 'utf8')));
      new BoundedLog(path, 100).append('four');
      console.log(JSON.stringify(readFileSync(path, 'utf8')));`;
    const path = join(host.root, 'some.log');
    const command = startCommand(['--input-type=module', '--eval', source, '--', path]);
    expect({ code: await command.closed, stderr: command.stderr }).toEqual({ code: 0, stderr: '' });
    const [emptied, anew, shrunk] = command.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string);
    expect(emptied).toBe('two\n');
    expect(anew).toBe(`${'x'.repeat(999)}\n`);
    expect(shrunk).toBe('four\n');
  });
});
