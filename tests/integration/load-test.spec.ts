import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CliIo } from '@voice-fleet/client/cli/flags';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { type ClientRun, quickClock, runClient } from '../support/client-run.ts';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const WORDS = range(1, 5);
const SLOTS = 4;
/** What waits for seconds by design is over in tenths of them. */
const QUICK = { clock: quickClock(10) };

let folder: string;
let fleet: Fleet;
let recording: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-load-test-'));
  recording = join(folder, 'words.wav');
  await writeFile(recording, writeWav(speak(WORDS), 16_000));
  fleet = await Fleet.start([new ScriptedEngine({ slots: SLOTS })]);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function client(argv: readonly string[], io: Partial<CliIo> = {}): Promise<ClientRun> {
  const env = {
    VOXTRAL_API_KEY: KEY,
    VOXTRAL_SERVER: `http://127.0.0.1:${fleet.gateways[0]?.port}`,
  };
  return runClient(argv, { env, ...io });
}

/** Every slot taken by somebody who says nothing. */
async function filled(during: () => Promise<void>): Promise<void> {
  const clients = await Promise.all(range(1, SLOTS).map(() => fleet.client()));
  try {
    await during();
  } finally {
    for (const { socket } of clients) socket.close();
    await Promise.all(clients.map(({ closed }) => closed));
  }
}

describe('npm run client -- smoke', () => {
  const smoke = (...argv: string[]): string[] => ['smoke', '--file', recording, ...argv];

  it('passes with the words that came back, over a WebSocket and over HTTP', async () => {
    const { code, stdout } = await client(smoke('--json', '--health', '--http'), QUICK);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'voice-fleet/smoke/1',
      ok: true,
      outcome: 'passed',
      checks: [
        { check: 'health', outcome: 'ok', tries: 1 },
        { check: 'stream', outcome: 'ok', detail: expect.stringContaining(transcript(WORDS)) },
        { check: 'http', outcome: 'ok', detail: `"${transcript(WORDS)}"` },
      ],
    });
    expect(code).toBe(0);
  });

  it('says REFUSED with exit code 0 when all slots stay taken, and fails then with --strict', async () => {
    await filled(async () => {
      const [lenient, strict] = await Promise.all([
        client(smoke(), QUICK),
        client(smoke('--strict', '--json'), QUICK),
      ]);
      expect(lenient.stdout).toMatch(/^stream +refused .*\n\nREFUSED$/m);
      expect(lenient.code).toBe(0);
      expect(JSON.parse(strict.stdout)).toMatchObject({ ok: false, outcome: 'refused' });
      expect(strict.code).toBe(1);
    });
  });

  it('fails for a wrong key, for silence, and when nobody answers in time', async () => {
    const silent = join(folder, 'silent.wav');
    await writeFile(silent, writeWav(Buffer.alloc(6_400), 16_000));
    const [stranger, mute, alone] = await Promise.all([
      client(smoke('--voxtral-key', 'wrong'), QUICK),
      client(['smoke', '--file', silent], QUICK),
      client(smoke('--server', '127.0.0.1:1', '--timeout', '5'), QUICK),
    ]);
    expect([stranger.code, mute.code, alone.code]).toEqual([1, 1, 1]);
    expect(stranger.stderr).toMatch(/did not accept the API key/);
    expect(mute.stdout).toMatch(/no word of the recording was understood[\s\S]*FAILED/);
    expect(alone.stderr).toMatch(/Nothing listens/);
  });
});
