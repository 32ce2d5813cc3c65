import { afterEach, describe, expect, it } from '@jest/globals';
import type { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { systemClock } from '@voice-fleet/runtime/clock';
import { readWav } from '@voice-fleet/speech/wav';
import { speak } from './speak.ts';
import { VoiceClient, type VoiceConnectOptions } from './voice-client.ts';
import { VoiceProtocolError, VoiceServerError } from './voice-errors.ts';
import { joinPhrases, voiceTimes } from './voice-reply.ts';
import {
  type FakeVoiceServer,
  startFakeVoiceServer,
  type VoiceFault,
} from './voice-server.fixture.ts';
import type { VoiceTurn } from './voice-turn.ts';
import { YapConnectionClosed, YapRejected, YapTimeout, YapUnreachable } from './yap-errors.ts';

/** 80 ms, loud. */
const PCM = Buffer.alloc(2560, 0x20);
const WAIT_MS = 2_000;
const SHORT_MS = 200;

let server: FakeVoiceServer | undefined;
const clients: VoiceClient[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server?.stop();
  server = undefined;
});

async function start(
  fault?: VoiceFault,
  options: { apiKey?: string; silentFrames?: number } = {},
): Promise<FakeVoiceServer> {
  server = await startFakeVoiceServer({ fault: () => fault, ...options });
  return server;
}

async function connect(options: Partial<VoiceConnectOptions> = {}): Promise<VoiceClient> {
  const { url } = server ?? (await start());
  const client = await VoiceClient.connect({ url, ...options });
  clients.push(client);
  return client;
}

/** Four frames and `stop`: two words. */
function say(client: VoiceClient): VoiceTurn {
  const turn = client.start();
  for (let i = 0; i < 4; i++) turn.send(PCM);
  turn.stop();
  return turn;
}

describe('VoiceClient', () => {
  it('gives transcript, reply and speech of an utterance, and all marks in their order', async () => {
    const client = await connect();
    const turn = say(client);
    const reply = await turn.result(WAIT_MS);
    expect(reply).toMatchObject({
      outcome: 'complete',
      transcript: 'w0 w1',
      transcriptId: 'utt-0',
      finalizeReason: 'explicit_stop',
      partials: ['w0', 'w0 w1'],
      reply: 'You said. w0 w1',
      replyDone: true,
      faults: [],
      latency: { t0: 1, d_first_audio: 2 },
    });
    expect(reply.phrases.map(({ seq, durationMs }) => [seq, durationMs])).toEqual([
      [0, 100],
      [1, 100],
    ]);
    const { firstAudioMs, firstPartialMs, finalMs, firstTokenMs, firstSpeechMs } = reply.marks;
    const marks = [firstAudioMs, firstPartialMs, finalMs, firstTokenMs, firstSpeechMs].map(Number);
    expect(marks).toEqual([...marks].sort((a, b) => a - b));
    expect(voiceTimes(reply.marks).firstTokenMs).toBeGreaterThanOrEqual(0);
    expect(client.sessionId).toBe('sess-0');
  });

  it('can be read frame by frame, from the first one to the marks', async () => {
    const turn = say(await connect());
    const types: string[] = [];
    for await (const frame of turn) types.push(frame.type);
    expect(types[0]).toBe('protocol');
    expect(types.slice(-2)).toEqual(['metrics', 'tts_complete']);
    expect(types.indexOf('finalize_pending') + 1).toBe(types.indexOf('final_transcript'));
    expect(types.filter((type) => type === 'tts_chunk')).toHaveLength(2);
  });

  it('joins the phrases in the order of their numbers, whichever came first', async () => {
    await start('phrases out of order');
    const { phrases } = await say(await connect()).result(WAIT_MS);
    expect(phrases.map(({ seq }) => seq)).toEqual([0, 1]);
    const wav = readWav(joinPhrases(phrases) ?? Buffer.alloc(0));
    expect(wav).toMatchObject({ sampleRate: 16_000, channels: 1 });
    expect([wav.pcm[0], wav.pcm[3199], wav.pcm[3200], wav.pcm.length]).toEqual([1, 1, 2, 6400]);
    expect(joinPhrases([])).toBeUndefined();
  });

  it('makes no one file of phrases that differ in their sample rate', () => {
    const phrase = { seq: 0, pcm: PCM, sampleRate: 16_000, durationMs: 80, atMs: 0 };
    expect(() => joinPhrases([phrase, { ...phrase, seq: 1, sampleRate: 24_000 }])).toThrow(
      /Phrase 1 has 24000 Hz/,
    );
  });

  it('carries utterance after utterance on one connection, and one at a time', async () => {
    const client = await connect();
    const first = say(client);
    expect(() => client.start()).toThrow(VoiceProtocolError);
    await first.result(WAIT_MS);
    const second = await say(client).result(WAIT_MS);
    expect(second.transcriptId).toBe('utt-1');
    expect(second.phrases.map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it('asks for what the caller wants, and for nothing else', async () => {
    const client = await connect();
    const options = { mode: 'chat', replyMode: 'transcribe', chunkSizeWords: 3 } as const;
    const turn = client.start({ ...options, endpointing: false });
    for (let i = 0; i < 2; i++) turn.send(PCM);
    turn.stop();
    expect(await turn.result(WAIT_MS)).toMatchObject({
      outcome: 'complete',
      reply: 'you said that',
    });
    const second = client.start();
    second.stop();
    await second.result(WAIT_MS);
    expect(server?.starts).toEqual([
      {
        type: 'start',
        sample_rate: 16_000,
        mode: 'chat',
        reply_mode: 'transcribe',
        chunk_size_words: 3,
        endpointing: false,
      },
      { type: 'start', sample_rate: 16_000, mode: 'voice' },
    ]);
  });

  it('ends with the transcript where no more was asked for, or nothing was said', async () => {
    const client = await connect();
    const turn = client.start({ mode: 'transcribe' });
    for (let i = 0; i < 2; i++) turn.send(PCM);
    turn.stop();
    expect(await turn.result(WAIT_MS)).toMatchObject({ transcript: 'w0', reply: '', phrases: [] });
    const silent = client.start();
    silent.stop();
    expect(await silent.result(WAIT_MS)).toMatchObject({ outcome: 'complete', transcript: '' });
  });

  it('cancels: the turn ends so, and the next one is answered', async () => {
    const client = await connect();
    const turn = client.start();
    turn.send(PCM);
    turn.cancel();
    expect(await turn.result(WAIT_MS)).toMatchObject({
      outcome: 'cancelled',
      error: { code: 'CANCELLED' },
      transcript: undefined,
    });
    expect(await say(client).result(WAIT_MS)).toMatchObject({ outcome: 'complete' });
  });

  it.each([
    ['llm timeout', 'LLM_TIMEOUT'],
    ['asr failure', 'ASR_FAIL'],
  ] as const)('tells of "%s", and the session goes on', async (fault, code) => {
    server = await startFakeVoiceServer({
      fault: (_, utterance) => (utterance ? undefined : fault),
    });
    const client = await connect();
    expect(await say(client).result(WAIT_MS)).toMatchObject({ outcome: 'failed', error: { code } });
    expect(await say(client).result(WAIT_MS)).toMatchObject({ outcome: 'complete' });
  });

  it('counts a phrase that could not be spoken as a fault, not as the end', async () => {
    await start('phrase fails');
    const reply = await say(await connect()).result(WAIT_MS);
    expect(reply).toMatchObject({ outcome: 'complete', faults: [{ code: 'TTS_FAIL' }] });
    expect(reply.phrases).toHaveLength(1);
  });

  it('does not wait for marks that never come', async () => {
    await start('no latency marks');
    const reply = await say(await connect()).result(WAIT_MS);
    expect(reply).toMatchObject({ outcome: 'complete', latency: undefined });
  });

  it('cuts into a reply: the first turn ends as interrupted, the second is answered', async () => {
    server = await startFakeVoiceServer({
      fault: (_, utterance) => (utterance === 0 ? 'long reply' : undefined),
    });
    const client = await connect();
    const first = say(client);
    for await (const frame of first) if (frame.type === 'tts_phrase_done') break;
    const second = client.interrupt();
    for (let i = 0; i < 2; i++) second.send(PCM);
    expect(await first.result(WAIT_MS)).toMatchObject({
      outcome: 'interrupted',
      replyDone: false,
      latency: { t0: 1 },
    });
    second.stop();
    expect(await second.result(WAIT_MS)).toMatchObject({
      outcome: 'complete',
      transcript: 'w0',
      transcriptId: 'utt-1',
      reply: 'You said. w0',
    });
    expect(server.starts).toHaveLength(1);
  });

  it('tells that there was no reply to cut into', async () => {
    const client = await connect();
    const first = say(client);
    const second = client.interrupt();
    await first.result(WAIT_MS);
    await expect(second.result(WAIT_MS)).rejects.toThrow(/over before/);
    expect(() => client.interrupt()).toThrow(/No reply is under way/);
    expect(await say(client).result(WAIT_MS)).toMatchObject({ outcome: 'complete' });
  });

  it.each([
    ['fatal error', VoiceServerError],
    ['two finals', VoiceProtocolError],
    ['speech that is no WAV', VoiceProtocolError],
    ['not the protocol', VoiceProtocolError],
    ['binary frame', VoiceProtocolError],
    ['drop in mid utterance', YapConnectionClosed],
  ] as const)('fails the turn at once on "%s"', async (fault, type) => {
    await start(fault);
    const turn = say(await connect());
    await expect(turn.result(WAIT_MS)).rejects.toBeInstanceOf(type);
    expect(turn.over.aborted).toBe(true);
    const read = async (): Promise<void> => {
      for await (const _ of turn);
    };
    await expect(read()).rejects.toBeInstanceOf(type);
  });

  it('bounds the wait for a reply that never comes', async () => {
    await start('silence after stop');
    await expect(say(await connect()).result(SHORT_MS)).rejects.toBeInstanceOf(YapTimeout);
  });

  it.each(['header', 'query'] as const)('sends the key in the %s', async (keyIn) => {
    const { keys } = await start(undefined, { apiKey: 'secret' });
    const client = await connect({ apiKey: 'secret', keyIn });
    await say(client).result(WAIT_MS);
    expect(keys).toEqual(['secret']);
  });

  it('tells a wrong key from other failures', async () => {
    await start(undefined, { apiKey: 'secret' });
    const client = await connect({ apiKey: 'wrong' });
    await client.closed;
    const error = await Promise.resolve()
      .then(() => client.start())
      .catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(VoiceServerError);
    expect(error).toMatchObject({ code: 'UNAUTHORIZED' });
  });

  it('tells a refused connection and a refused upgrade from others', async () => {
    const { url } = await start('refused by status');
    const refused = await VoiceClient.connect({ url }).catch((cause: unknown) => cause);
    expect(refused).toBeInstanceOf(YapRejected);
    expect(refused).toMatchObject({ reason: 'unavailable' });
    await server?.stop();
    await expect(VoiceClient.connect({ url })).rejects.toBeInstanceOf(YapUnreachable);
  });

  it('shows every frame of the session, in the order they came', async () => {
    const frames: VoiceServerFrame[] = [];
    const client = await connect({ onFrame: (frame) => frames.push(frame) });
    await say(client).result(WAIT_MS);
    expect(frames[0]).toEqual({ type: 'protocol', version: 1 });
    expect(frames.at(-1)).toEqual({ type: 'tts_complete' });
  });

  it('fails all waits with the reason of its signal and closes with 1000', async () => {
    const stop = new AbortController();
    const client = await connect({ signal: stop.signal });
    const turn = client.start();
    const waiting = turn.result(WAIT_MS);
    stop.abort(new Error('Ctrl+C'));
    await expect(waiting).rejects.toThrow('Ctrl+C');
    expect(await client.closed).toMatchObject({ code: 1000 });
    expect(() => client.start()).toThrow('Ctrl+C');
  });
});

describe('speak', () => {
  const options = { clock: systemClock, speed: 20 };
  const recording = Buffer.concat([Buffer.alloc(2560 * 6, 0x20), Buffer.alloc(2560 * 2)]);

  it('paces a recording, marks the end of its speech, and says stop', async () => {
    const client = await connect();
    const turn = client.start();
    await speak(turn, recording, { ...options, end: 'stop' });
    const { marks, transcript } = await turn.result(WAIT_MS);
    expect(transcript).toBe('w0 w1 w2');
    expect(server?.received.filter((type) => type === 'audio')).toHaveLength(8);
    expect(marks.speechEndMs).toBeLessThan(Number(marks.lastAudioMs));
    expect(marks.speechEndMs).toBeGreaterThan(Number(marks.firstAudioMs));
  });

  it('goes on in silence until the server ends the utterance, and never says stop', async () => {
    await start(undefined, { silentFrames: 5 });
    const turn = (await connect()).start();
    await speak(turn, recording, { ...options, end: 'silence' });
    expect((await turn.result(WAIT_MS)).finalizeReason).toBe('vad_silence_timeout');
    expect(server?.received).not.toContain('stop');
  });

  it('leaves the rest of a recording unsaid when its utterance has ended in a pause', async () => {
    await start(undefined, { silentFrames: 2 });
    const turn = (await connect()).start({ mode: 'transcribe' });
    await speak(turn, Buffer.concat([recording, recording]), { ...options, end: 'silence' });
    expect((await turn.result(WAIT_MS)).transcript).toBe('w0 w1 w2');
  });

  it('stops at once when the turn fails', async () => {
    await start('drop in mid utterance');
    const turn = (await connect()).start();
    await speak(turn, Buffer.alloc(2560 * 500, 0x20), { ...options, end: 'stop' });
    await expect(turn.result(WAIT_MS)).rejects.toBeInstanceOf(YapConnectionClosed);
  });
});
