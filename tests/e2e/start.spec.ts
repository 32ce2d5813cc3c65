import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from '@voice-fleet/testkit/ports';
import { type Command, endCommands, left, startCommand, until } from './command.ts';

interface Started extends Command {
  readonly port: number;
}

interface Spoken {
  readonly question: string;
  readonly transcript: string;
  readonly reply: string;
  readonly speechS: number;
  /** In milliseconds since t0. */
  readonly marks: Readonly<Record<string, number | undefined>>;
}

/** Where one of its parts serves its metrics, as npm run observe reads it. */
interface Announced {
  readonly targets: readonly [string];
  readonly labels: { readonly job: string };
}

/** As templates render what is not set. */
const EMPTY = {
  REDIS_URL: '',
  SERVER_BIND_HOST: '',
  SERVER_PORT: '',
  VOXTRAL_API_KEY: '',
  ASR_ENGINE: '',
  LOG_LEVEL: '',
};

async function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const port = await freePort();
  const command = startCommand(['scripts/start.mjs', '--port', String(port), ...args], env);
  return Object.assign(command, { port });
}

describe('npm start', () => {
  afterEach(endCommands);

  it('recognises its recording and answers its question aloud, also with empty variables, and leaves nothing behind', async () => {
    const started = await start(['--once', '--json'], EMPTY);
    expect({ code: await started.closed, stderr: started.stderr }).toMatchObject({ code: 0 });
    const result = JSON.parse(started.stdout) as Record<string, string> & { voice: Spoken };
    expect(result['url']).toBe(`http://127.0.0.1:${started.port}`);
    expect(result['reference']).toBe('he might even have been made amiable himself');
    expect(result['transcript']).toMatch(/\w+ \w+/);
    expect(started.stderr).toContain(`recognised  ${result['transcript']}`);
    expect(started.stderr).toContain('production is Voxtral on vLLM');
    const { question, transcript, reply, speechS, marks } = result.voice;
    expect(transcript).toBe(question);
    expect(reply).toMatch(/\b12\b.* not a language model/);
    expect(speechS).toBeGreaterThan(1);
    const { t0 = -1, t2 = -1, t3 = -1, t4 = -1 } = marks;
    const inOrder = [t0, t2, t3, t4];
    expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b));
    expect(t0).toBe(0);
    expect(started.stderr).toContain(`understood  ${transcript}`);
    expect(started.stderr).toMatch(/marks +t0 first audio 0 ms, .*t4 first speech \d+ ms/);
    expect(started.stderr).toContain(`page        ${result['url']}/#key=${result['apiKey']}`);
    expect(started.family.size).toBeGreaterThanOrEqual(7);
    expect(left(started)).toEqual([]);
  });

  it('serves until Ctrl+C, and then stops within 15 seconds', async () => {
    const started = await start(['--no-demo']);
    await until(() => started.stderr.includes('Ctrl+C stops everything'), 'ready', 90_000);
    expect((await fetch(`http://127.0.0.1:${started.port}/readyz`)).status).toBe(200);
    expect(left(started).length).toBeGreaterThanOrEqual(5);
    const told = `.cache/fleets/${started.child.pid}.json`;
    const targets = JSON.parse(readFileSync(told, 'utf8')) as Announced[];
    expect(targets.map(({ labels }) => labels.job)).toEqual(['asr-worker', 'llm-tts', 'gateway']);
    for (const {
      targets: [target],
    } of targets)
      expect(await (await fetch(`http://${target}/metrics`)).text()).toContain('voice_build_info{');
    started.child.kill('SIGINT');
    await until(() => started.child.exitCode !== null, 'stopped');
    expect(started.child.exitCode).toBe(0);
    expect(left(started)).toEqual([]);
    expect(existsSync(told)).toBe(false);
  });

  it('shows no key that its caller brought', async () => {
    const started = await start(['--no-demo'], { VOXTRAL_API_KEY: 'a-key-of-mine' });
    await until(() => started.stderr.includes('Ctrl+C stops everything'), 'ready', 90_000);
    expect(started.stdout + started.stderr).not.toContain('a-key-of-mine');
    expect(started.stderr).toContain(`page        http://127.0.0.1:${started.port}/\n`);
    started.child.kill('SIGINT');
    expect(await started.closed).toBe(0);
  });

  it('leaves nothing behind when it is killed outright', async () => {
    const started = await start(['--no-demo']);
    await until(() => started.stderr.includes('Ctrl+C stops everything'), 'ready', 90_000);
    started.child.kill('SIGKILL');
    await until(() => left(started).length === 0, 'all processes gone');
  });

  it('names a free port when its own is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const started = await start(['--port', String(port)]);
    expect(await started.closed).toBe(1);
    expect(started.stderr).toMatch(/taken: run `SERVER_PORT=\d+ npm start`/);
    server.close();
  });

  it('takes its default port when SERVER_PORT is empty', async () => {
    const started = startCommand(['scripts/start.mjs', '--workers', '0'], EMPTY);
    expect(await started.closed).toBe(1);
    expect(started.stderr).toMatch(/^--workers takes a whole number/);
  });
});
