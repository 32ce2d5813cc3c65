import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type CliIo } from '@voice-fleet/client/cli/flags';
import { Interrupted } from '@voice-fleet/client/cli/guard';
import { run } from '@voice-fleet/client/cli/run';
import {
  type FakeVoiceServer,
  startFakeVoiceServer,
  type VoiceFault,
} from '@voice-fleet/client/voice-server.fixture';
import { systemClock } from '@voice-fleet/runtime/clock';
import { readWav, writeWav } from '@voice-fleet/speech/wav';

let folder = '';
let recording = '';
let server: FakeVoiceServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voice-fleet-voice-cli-'));
  recording = join(folder, 'short.wav');
  await writeFile(recording, writeWav(Buffer.alloc(4 * 2560, 0x20), 16_000));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function voice(args: readonly string[], io: Partial<CliIo> = {}, fault?: VoiceFault) {
  server ??= await startFakeVoiceServer({ fault: () => fault, silentFrames: 3 });
  let stdout = '';
  let stderr = '';
  const common = ['--server', server.url.host, '--file', recording, '--speed', '20'];
  const code = await run(['voice', ...common, ...args], {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTty: false,
    env: {},
    clock: systemClock,
    signal: new AbortController().signal,
    ...io,
  });
  return { code, stdout, stderr };
}

describe('npm run client -- voice', () => {
  it('shows what is said as it comes, then both sides and the marks of both', async () => {
    const { code, stdout, stderr } = await voice([]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const kinds = stderr.match(/partial|final|token|speech/g) ?? [];
    expect([...new Set(kinds)]).toEqual(['partial', 'final', 'token', 'speech']);
    expect(stderr).toMatch(/\+\d+\.\d\d s {2}speech {4}phrase 0, 0\.10 s\n/);
    expect(stdout).toMatch(/Transcript +w0 w1\n/);
    expect(stdout).toMatch(/Reply +You said\. w0 w1\n/);
    expect(stdout).toMatch(/Speech +0\.20 s in 2 phrases: 0\.10 s \+ 0\.10 s\n/);
    for (const mark of ['t0', 't1', 't2', 't3', 't4']) expect(stdout).toContain(`\n${mark} `);
    expect(stdout).toMatch(/d_first_audio +\d+ ms +2 ms\n/);
    // A pause in the recording must not end it.
    expect(server?.starts).toMatchObject([{ mode: 'voice', endpointing: false }]);
  });

  it('writes the speech as one file and one JSON object', async () => {
    const out = join(folder, 'reply.wav');
    const { code, stdout } = await voice(['--json', '--out', out]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      mode: 'voice',
      sessionId: 'sess-0',
      transcript: 'w0 w1',
      reply: 'You said. w0 w1',
      phrases: [{ seq: 0 }, { seq: 1 }],
      speechS: 0.2,
      out,
      marks: { t0: 0, t4: expect.any(Number) },
      latency: { t0: 1, t4: 5 },
    });
    const wav = readWav(await readFile(out));
    expect([wav.sampleRate, wav.pcm.length]).toEqual([16_000, 6400]);
  });

  it('plays the phrases in their order and leaves no file behind', async () => {
    const bin = await mkdtemp(join(folder, 'bin-'));
    const log = join(bin, 'played');
    await writeFile(join(bin, 'aplay'), `#!/bin/sh\n/usr/bin/wc -c < "$2" >> ${log}\n`, {
      mode: 0o755,
    });
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith('voice-fleet-play-'));
    expect(await voice(['--play'], { env: { PATH: bin } })).toMatchObject({ code: 0 });
    expect(await readFile(log, 'utf8')).toBe('3244\n3244\n');
    const after = (await readdir(tmpdir())).filter((name) => name.startsWith('voice-fleet-play-'));
    expect(after).toEqual(before);
  });

  it('says what --play needs before it dials', async () => {
    const { code, stderr } = await voice(['--play'], { env: { PATH: folder } });
    expect(code).toBe(2);
    expect(stderr).toMatch(/--play needs one of aplay/);
    expect(server?.received).toEqual([]);
  });

  it('lets the server find the end with --no-stop', async () => {
    const { code } = await voice(['--no-stop', '--json']);
    expect(code).toBe(0);
    expect(server?.received).not.toContain('stop');
    expect(server?.starts).toMatchObject([{ endpointing: true }]);
  });

  it('speaks into the reply with --barge-in-after, and tells of both replies', async () => {
    const long: VoiceFault = 'long reply';
    server = await startFakeVoiceServer({ fault: (_, i) => (i === 0 ? long : undefined) });
    const { code, stdout } = await voice(['--barge-in-after', '20', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      interrupted: { transcript: 'w0 w1', reply: 'You said. w0 w1' },
      transcript: 'w0 w1',
      transcriptId: 'utt-1',
    });
    const shown = await voice(['--barge-in-after', '0']);
    expect(shown).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/interrupted +by speech/),
    });
  });

  it('says that there was nothing to interrupt', async () => {
    const { code, stderr } = await voice(['--barge-in-after', '50']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/The reply was over within 50 ms/);
  });

  it('asks for a transcript alone, or for a reply straight from the audio', async () => {
    const transcribed = await voice(['--mode', 'transcribe', '--json']);
    expect(JSON.parse(transcribed.stdout)).toMatchObject({ ok: true, transcript: 'w0 w1' });
    const chat = await voice(['--mode', 'chat', '--reply-mode', 'transcribe', '--json']);
    expect(JSON.parse(chat.stdout)).toMatchObject({ ok: true, reply: 'you said that' });
    expect(server?.starts).toMatchObject([
      { mode: 'transcribe' },
      { mode: 'chat', reply_mode: 'transcribe' },
    ]);
  });

  it.each([
    ['empty transcript', /No word was understood/],
    ['llm timeout', /failed with LLM_TIMEOUT/],
    ['fatal error', /ended the session with INTERNAL/],
    ['not the protocol', /Check that .* points at \/ws\./],
    ['drop in mid utterance', /The connection closed with code 1006/],
    ['refused by status', /takes no sessions right now/],
  ] as const)('fails on "%s" with exit code 1 and says why', async (fault, message) => {
    const { code, stderr } = await voice([], {}, fault);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  it('tells of a wrong key', async () => {
    server = await startFakeVoiceServer({ apiKey: 'secret' });
    const { code, stderr } = await voice(['--voxtral-key', 'wrong']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/--voxtral-key/);
    expect(await voice(['--voxtral-key', 'secret'])).toMatchObject({ code: 0 });
  });

  it('gives up in time on a reply that never comes', async () => {
    const { code, stderr } = await voice([], { sessionTimeoutMs: 100 }, 'silence after stop');
    expect(code).toBe(1);
    expect(stderr).toMatch(/Timed out after 0\.1 s/);
  });

  it('ends orderly on Ctrl+C with exit code 130', async () => {
    const interrupt = new AbortController();
    const { code } = await voice([], {
      signal: interrupt.signal,
      stderr: (text) => {
        if (text.includes('partial')) interrupt.abort(new Interrupted());
      },
    });
    expect(code).toBe(130);
    expect(server?.closeCodes).toEqual([1000]);
  });

  it('refuses a mode that there is not with exit code 2, and explains itself', async () => {
    expect(await voice(['--mode', 'sing'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--mode takes voice, transcribe, chat'),
    });
    const { stdout } = await voice(['--help']);
    expect(stdout).toContain('npm run client -- voice');
    expect(stdout).toContain('a missing path becomes\n                       /ws ');
  });
});
