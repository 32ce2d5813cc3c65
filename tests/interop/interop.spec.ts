import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { findSamples } from '@voice-fleet/client/samples';
import { runSession } from '@voice-fleet/client/transcribe';
import { systemClock } from '@voice-fleet/runtime/clock';
import { resample } from '@voice-fleet/speech/resample';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { selfSignedCertificate } from '@voice-fleet/testkit/certificate';
import { KEY, VoiceProcesses } from '../support/voice-processes.ts';

/** A stream takes as long as its recording is, and some more on a loaded machine. */
const PATIENCE_MS = 90_000;
const run = promisify(execFile);

interface Heard {
  readonly text: string;
}

interface RealtimeReport extends Heard {
  readonly deltas: string;
  readonly usage: object;
  readonly told: readonly string[];
  readonly code: number;
}

interface RestReport extends Heard {
  readonly plain: string;
  readonly streamed: string;
  readonly done: string;
  readonly verbose: { readonly text: string; readonly words: readonly { readonly word: string }[] };
  readonly srt: string;
  readonly vtt: string;
  readonly heard: string;
  readonly riff: string;
  readonly models: readonly string[];
  readonly chat: string;
  readonly chunks: string;
  readonly refusals: Readonly<
    Record<'key' | 'model' | 'format' | 'recording', { message: string; requestID: string }>
  >;
}

interface BrowserReport extends Heard {
  readonly told: readonly string[];
  readonly bound: string;
  readonly protocol: string;
  readonly isClientSecret: boolean;
}

interface AgentReport extends Heard {
  readonly reply: string;
  readonly spokenBytes: number;
}

let folder: string;
let fleet: VoiceProcesses;
let recording: string;
let recording24: string;
/** What the fleet's own protocol hears in the same recording. */
let native: string;

/** Runs one program of ./clients as a user would, and gives what it reports. */
async function client<Result extends object>(name: string): Promise<Result> {
  const program = join(import.meta.dirname, 'clients', `${name}.mjs`);
  const args = [
    program,
    '--url',
    fleet.tlsOrigin ?? '',
    '--key',
    KEY,
    '--file',
    recording,
    '--file24',
    recording24,
  ];
  const { stdout } = await run(process.execPath, args, {
    timeout: PATIENCE_MS,
    env: { ...process.env, NODE_OPTIONS: '', NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') },
  });
  return JSON.parse(stdout) as Result;
}

/** Letters and digits, so that dialects which write words in their own way can be compared. */
function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'interop-'));
  const { cert, key } = await selfSignedCertificate();
  writeFileSync(join(folder, 'cert.pem'), cert);
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 });
  fleet = await VoiceProcesses.start({
    TLS_CERT_FILE: join(folder, 'cert.pem'),
    TLS_KEY_FILE: join(folder, 'key.pem'),
    TLS_PORT: '0',
    JOBS_DIR: join(folder, 'jobs'),
    BATCH_JOBS_MAX: '1',
    WORKER_SLOTS: '2',
  });
  const samples = await findSamples();
  const sample = samples.find(({ path }) => path.includes('0890')) ?? samples[0];
  recording = sample.path;
  recording24 = join(folder, 'at-24-khz.wav');
  const { pcm } = readWav(readFileSync(recording));
  const faster = resample(
    new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2),
    16_000,
    24_000,
  );
  writeFileSync(recording24, writeWav(Buffer.from(faster.buffer, 0, faster.byteLength), 24_000));
  const { transcript } = await runSession(pcm, {
    url: new URL(`${fleet.origin.replace('http', 'ws')}/api/asr-streaming`),
    apiKey: KEY,
    clock: systemClock,
  });
  native = transcript.text;
}, PATIENCE_MS);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe('a recording through the SDKs of other services', () => {
  it('is heard by the native protocol', () => {
    expect(wordsOf(native).length).toBeGreaterThan(5);
  });

  it.each([
    'deepgram-live',
    'deepgram-flux',
    'deepgram-file',
    'mistral',
    'livekit-openai',
    'livekit-deepgram',
  ])(
    'has the same words by %s',
    async (name) => {
      const { text } = await client<Heard>(name);
      expect(wordsOf(text)).toEqual(wordsOf(native));
    },
    PATIENCE_MS,
  );

  it(
    'is told by OpenAI as it is recorded, with usage and a clean close',
    async () => {
      const { deltas, text, usage, told, code } = await client<RealtimeReport>('openai-realtime');
      expect(wordsOf(text)).toEqual(wordsOf(native));
      expect(deltas.trim()).toBe(text.trim());
      expect(usage).toMatchObject({ type: 'duration', seconds: expect.any(Number) });
      expect(told.slice(0, 2)).toEqual(['session.created', 'session.updated']);
      expect(told).not.toContain('error');
      expect(code).toBe(1000);
    },
    PATIENCE_MS,
  );

  it(
    'is transcribed over HTTP in every format of OpenAI, with speech, chat and refusals as its SDK knows them',
    async () => {
      const rest = await client<RestReport>('openai-rest');
      const words = wordsOf(native);
      for (const text of [rest.text, rest.plain, rest.streamed, rest.done, rest.verbose.text])
        expect(wordsOf(text)).toEqual(words);
      expect(rest.verbose.words.map(({ word }) => word).flatMap(wordsOf)).toEqual(words);
      expect(rest.verbose).toMatchObject({
        duration: expect.any(Number),
        segments: expect.any(Array),
      });
      expect(rest.srt).toMatch(/^1\n00:00:00,\d{3} --> 00:00:/);
      expect(rest.vtt).toMatch(/^WEBVTT\n\n00:00:/);
      expect(rest.riff).toBe('RIFF');
      // The demonstration voice is heard by the demonstration engine.
      expect(wordsOf(rest.heard)).toContain('plus');
      expect(rest.models).not.toHaveLength(0);
      expect([rest.chat, rest.chunks]).toEqual([
        expect.stringContaining('12'),
        expect.stringContaining('12'),
      ]);
      const { key, model, format, recording: sound } = rest.refusals;
      expect(key).toMatchObject({
        kind: 'AuthenticationError',
        status: 401,
        code: 'invalid_api_key',
      });
      expect(model).toMatchObject({ kind: 'NotFoundError', status: 404, code: 'model_not_found' });
      expect(format).toMatchObject({ kind: 'BadRequestError', status: 400 });
      expect(sound).toMatchObject({ kind: 'BadRequestError', status: 400 });
      for (const { message, requestID } of Object.values(rest.refusals)) {
        expect(message).toMatch(/\w+ \w+/);
        expect(requestID).toEqual(expect.any(String));
      }
    },
    PATIENCE_MS,
  );

  it(
    'is heard from a browser with a secret that was made for it, which is never a subprotocol of the answer',
    async () => {
      const { text, told, bound, protocol, isClientSecret } =
        await client<BrowserReport>('openai-browser');
      expect(wordsOf(text)).toEqual(wordsOf(native));
      expect({ bound, protocol, isClientSecret }).toEqual({
        bound: 'server_vad',
        protocol: 'realtime',
        isClientSecret: true,
      });
      expect(told).toEqual(
        expect.arrayContaining([
          'input_audio_buffer.speech_started',
          'input_audio_buffer.committed',
        ]),
      );
    },
    PATIENCE_MS,
  );

  it(
    'has the same words as a batch job',
    async () => {
      const { text, ...job } = await client<Heard>('jobs');
      expect(wordsOf(text)).toEqual(wordsOf(native));
      expect(job).toEqual({ state: 'completed', progress: 1, isOneJob: true });
    },
    PATIENCE_MS,
  );

  it(
    'is answered in speech to a client of OpenAI’s agents',
    async () => {
      const { text, reply, spokenBytes } = await client<AgentReport>('openai-agents');
      expect(wordsOf(text)).toEqual(wordsOf(native));
      expect(wordsOf(reply).length).toBeGreaterThan(3);
      // More than a second at 24 kHz.
      expect(spokenBytes).toBeGreaterThan(48_000);
    },
    PATIENCE_MS,
  );
});
