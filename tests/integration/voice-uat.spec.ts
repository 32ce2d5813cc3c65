import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from '@voice-fleet/client/cli/run';
import {
  type FakeVoiceServer,
  startFakeVoiceServer,
  type VoiceFault,
} from '@voice-fleet/client/voice-server.fixture';
import { systemClock } from '@voice-fleet/runtime/clock';
import { writeWav } from '@voice-fleet/speech/wav';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
/** 3.2 s, of which the last 0.8 s are silent. */
const AUDIO = Buffer.concat([Buffer.alloc(30 * 2560, 0x20), Buffer.alloc(10 * 2560)]);
let folder = '';
let recording = '';
let server: FakeVoiceServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voice-fleet-uat-'));
  recording = join(folder, 'spoken.wav');
  await writeFile(recording, writeWav(AUDIO, 16_000));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

type Faults = (session: number, utterance: number) => VoiceFault | undefined;

async function start(fault: Faults = () => undefined, healthy = true): Promise<string> {
  server = await startFakeVoiceServer({ fault, silentFrames: 8, healthy });
  return server.url.host;
}

async function command(name: string, args: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const code = await run([name, ...args], {
    stdout: (chunk) => {
      stdout += chunk;
    },
    stderr: (chunk) => {
      stderr += chunk;
    },
    isTty: false,
    env: {},
    clock: systemClock,
    signal: new AbortController().signal,
    sessionTimeoutMs: 5_000,
  });
  return { code, stdout, stderr };
}

interface Verdict {
  readonly name: string;
  readonly measured: string;
  readonly pass: boolean;
}

async function uat(faults?: Faults, healthy?: boolean) {
  const address = await start(faults, healthy);
  const args = ['--server', address, '--file', recording, '--speed', '20', '--json'];
  const { code, stdout } = await command('uat', args);
  const { thresholds } = JSON.parse(stdout) as { thresholds: Verdict[] };
  return { code, failed: thresholds.filter(({ pass }) => !pass).map(({ name }) => name) };
}

describe('P49: the acceptance gate', () => {
  it('passes five good utterances on one connection, errors between them included', async () => {
    const address = await start();
    const args = ['--server', address, '--file', recording, '--speed', '20'];
    const { code, stdout } = await command('uat', args);
    expect(stdout).toMatch(/pass {2}partial before final +100 % +5 of 5\n/);
    expect(stdout).toMatch(/pass {2}first audio < 3\.0 s after speech +≥ 80 % +5 of 5\n/);
    expect(stdout).toMatch(/pass {2}recoverable errors end no session +0 ended +0 ended, of 3\n/);
    expect(stdout).toMatch(/\npassed\n$/);
    expect(code).toBe(0);
    expect(server?.keys).toHaveLength(1);
    expect(server?.received).not.toContain('stop');
    expect(server?.received).toContain('cancel');
  });

  it('passes with one slow reply of five, not with two', async () => {
    const slow =
      (many: readonly number[]): Faults =>
      (_, utterance) =>
        many.includes(utterance) ? 'late first token' : undefined;
    expect(await uat(slow([1]))).toEqual({ code: 0, failed: [] });
    await server?.stop();
    expect(await uat(slow([1, 3]))).toEqual({
      code: 1,
      failed: ['first token < 2.5 s after speech'],
    });
  });

  it.each<[VoiceFault, string[]]>([
    ['final before any partial', ['partial before final']],
    ['no id', ['final has an id', 'order of events']],
  ])('fails when one utterance of five shows "%s"', async (fault, names) => {
    const { code, failed } = await uat((_, utterance) => (utterance === 2 ? fault : undefined));
    expect(failed).toEqual(names);
    expect(code).toBe(1);
  });

  it('fails when the server closes a session at an error that it called recoverable', async () => {
    const { failed } = await uat((session) =>
      session === 0 ? 'closes at a recoverable error' : undefined,
    );
    expect(failed).toEqual(['no crash', 'recoverable errors end no session']);
  });

  it('measures the rest on another connection when one is lost', async () => {
    const { failed } = await uat((session, utterance) =>
      session === 0 && utterance === 1 ? 'drop in mid utterance' : undefined,
    );
    expect(failed).toContain('no crash');
    expect(server?.keys).toHaveLength(2);
  });

  it('fails when the server does not answer any more', async () => {
    expect((await uat(undefined, false)).failed).toEqual(['no crash']);
  });

  it('takes recordings of 3 to 8 s only', async () => {
    const short = join(folder, 'short.wav');
    await writeFile(short, writeWav(AUDIO.subarray(0, 32_000), 16_000));
    const { code, stderr } = await command('uat', ['--server', await start(), '--file', short]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/recordings of 3 to 8 s/);
  });

  it('says so and ends when nobody is there', async () => {
    const address = await start();
    await server?.stop();
    const { code, stderr } = await command('uat', ['--server', address, '--file', recording]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/Nothing listens at/);
  });
});

describe('P50: the manual client', () => {
  it('prints every event with its time, in the order of the protocol', async () => {
    const args = ['scripts/manual-ws-client.ts', '--server', await start(), '--speed', '20'];
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', ...args], {
      cwd: REPO,
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 20_000,
    });
    const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    expect(stdout).toMatch(/^ +\+\d\.\d{3} s {2}protocol +\{"version":1\}\n/);
    expect(stdout).toMatch(/finalize_pending .*\n.*final_transcript /);
    expect(stdout).toMatch(/tts_chunk +\{"seq":0,"audio_b64":"\(\d+ characters\)"/);
    expect(stdout).toMatch(/\nThe order is right\.\n$/);
    expect(code).toBe(0);
    // Silence has ended the utterance.
    expect(server?.received).not.toContain('stop');
  });

  it('ends what silence does not end, and sends a recording instead of the sine', async () => {
    server = await startFakeVoiceServer();
    const args = ['--server', server.url.host, '--file', recording, '--speed', '20', '--json'];
    const { code, stdout } = await command('manual', args);
    expect(code).toBe(0);
    expect(server.received).toContain('stop');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, faults: [] });
  });

  it.each<[VoiceFault, string]>([
    ['final before any partial', ''],
    ['phrases out of order', 'Wrong: phrases numbered 1, 0'],
    ['no id', 'Wrong: the final transcript has no id'],
    ['asr failure', 'Wrong: no final transcript'],
  ])('tells what is wrong with "%s"', async (fault, message) => {
    const args = ['--server', await start(() => fault), '--speed', '20'];
    const { code, stdout } = await command('manual', args);
    expect(stdout).toContain(message);
    expect(code).toBe(message === '' ? 0 : 1);
  });
});
