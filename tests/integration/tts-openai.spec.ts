import { afterEach, describe, expect, it } from '@jest/globals';
import type { SpeechAudio } from '@voice-fleet/llm-tts/tts/engine';
import { OpenAiSpeech } from '@voice-fleet/llm-tts/tts/openai-speech';
import type { PhraseOutcome, SpeechEvent } from '@voice-fleet/llm-tts/tts/phrase-queue';
import { Speaker } from '@voice-fleet/llm-tts/tts/speaker';
import type { SpeakerSettings } from '@voice-fleet/llm-tts/tts/tts-env';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { rmsDbfs } from '@voice-fleet/speech/level';
import { readWav } from '@voice-fleet/speech/wav';
import { FakeOpenAi } from '@voice-fleet/testkit/fake-openai/fake-openai';
import {
  FakeSpeech,
  type SpeechFault,
  toneFor,
} from '@voice-fleet/testkit/fake-openai/fake-speech';
import { quickest } from '../support/quickest.ts';
import { until } from '../support/until.ts';

const SETTINGS: SpeakerSettings = {
  maxPhraseLength: 60,
  workers: 2,
  timeoutMs: 10_000,
  maxPending: 5,
};
const never = new AbortController().signal;

const open: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

async function rig(speech = new FakeSpeech(), options: { apiKey?: string; key?: string } = {}) {
  const { apiKey, key = 'sk-test' } = options;
  const server = await FakeOpenAi.start({ speech, ...(apiKey !== undefined && { apiKey }) });
  const engine = new OpenAiSpeech({
    baseUrl: server.baseUrl,
    apiKey: key,
    model: 'voxtral-tts',
    voice: 'casual_female',
    sampleRate: 24_000,
  });
  open.push(server, engine);
  return { server, speech, engine };
}

/** Speaks a reply, its tokens at once. */
function speak(engine: OpenAiSpeech, reply: string, settings: Partial<SpeakerSettings> = {}) {
  const controller = new AbortController();
  const outcomes: PhraseOutcome[] = [];
  const speaker = new Speaker({
    engine,
    clock,
    settings: { ...SETTINGS, ...settings },
    signal: controller.signal,
    unit: 'phrases',
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  const events: SpeechEvent[] = [];
  const ended = (async () => {
    for await (const event of speaker.events) events.push(event);
  })();
  for (const token of reply.match(/\s*\S+/gu) ?? []) speaker.push(token);
  speaker.finish();
  const told = (): string[] =>
    events.map((event) => `${event.type === 'error' ? event.code : event.type} ${event.phrase}`);
  return { events, ended, told, outcomes, abort: () => controller.abort() };
}

const fails = async (speaking: Promise<SpeechAudio>): Promise<string> => {
  const error = await speaking.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof VoiceError)) throw new Error(`not refused, but ${String(error)}`);
  expect(error.code).toBe('tts_failed');
  // The server's own words are not for clients.
  expect(error.message).toBe('A phrase could not be spoken and was left out.');
  return String(error.cause);
};

describe('OpenAiSpeech', () => {
  it('asks as OpenAI wants to be asked, and gives a true WAV', async () => {
    const { engine, speech } = await rig(new FakeSpeech(), { apiKey: 'sk-test' });
    const audio = await engine.synthesize({ text: 'Hello there.', voice: 'neutral_male' }, never);
    expect(speech.calls[0]?.body).toEqual({
      model: 'voxtral-tts',
      input: 'Hello there.',
      voice: 'neutral_male',
      response_format: 'wav',
    });
    const { pcm, ...format } = readWav(audio.wav);
    expect(format).toEqual({ sampleRate: 24_000, channels: 1 });
    expect(pcm.equals(toneFor('Hello there.'))).toBe(true);
    expect(audio.durationMs).toBeCloseTo(12 * 60);
  });

  it('uses its own voice, and goes back to it when another is not known there', async () => {
    const { engine, speech } = await rig(new FakeSpeech({ voices: ['casual_female'] }));
    await engine.synthesize({ text: 'One.' }, never);
    await engine.synthesize({ text: 'Two.', voice: 'slt' }, never);
    await engine.synthesize({ text: 'Three.', voice: 'slt' }, never);
    expect(speech.calls.map(({ input, voice }) => `${input} ${voice}`)).toEqual([
      'One. casual_female',
      'Two. slt',
      'Two. casual_female',
      'Three. casual_female',
    ]);
  });

  it.each([0xffff_ffff, 0x7fff_ffff, 0])(
    'repairs a header that claims %i bytes, as streaming servers write it',
    async (size) => {
      const { engine, speech } = await rig();
      speech.next({ fault: { kind: 'bogus_header', size } });
      const { wav } = await engine.synthesize({ text: 'Hello.' }, never);
      expect(wav.readUInt32LE(4)).toBe(wav.length - 8);
      expect(wav.readUInt32LE(40)).toBe(wav.length - 44);
      expect(readWav(wav).pcm.equals(toneFor('Hello.'))).toBe(true);
    },
  );

  it.each([
    ['audio/pcm', 24_000],
    ['audio/L16;rate=22050;channels=1', 22_050],
  ])('puts a header before bare PCM that is called %s', async (contentType, sampleRate) => {
    const { engine, speech } = await rig();
    speech.next({ fault: { kind: 'bare_pcm', contentType } });
    const audio = await engine.synthesize({ text: 'Hello.' }, never);
    expect(readWav(audio.wav)).toMatchObject({ sampleRate, channels: 1 });
    expect(audio.sampleRate).toBe(sampleRate);
  });

  it.each<[string, SpeechFault, RegExp]>([
    [
      'an error',
      { kind: 'error', status: 500, message: 'out of memory' },
      /^Error: answered 500: out of memory$/,
    ],
    ['an error after 200', { kind: 'error_body' }, /engine core died/],
    [
      'an error after 200 that is called audio',
      { kind: 'error_body', contentType: 'audio/wav' },
      /engine core died/,
    ],
    ['another format', { kind: 'mp3' }, /audio\/mpeg/],
    ['bytes of no known kind', { kind: 'bare_pcm', contentType: 'application/x' }, /no WAV/],
    ['half an answer', { kind: 'cut' }, /terminated/],
    ['half an answer that ends in peace', { kind: 'cut', quietly: true }, /bytes early/],
    ['audio without end', { kind: 'flood' }, /more than \d+ bytes/],
  ])('takes %s for a failed phrase, and the next one is spoken', async (_what, fault, why) => {
    const { engine, speech } = await rig();
    speech.next({ fault });
    expect(await fails(engine.synthesize({ text: 'Hello.' }, never))).toMatch(why);
    await speech.calls[0]?.exchange.closed;
    const { durationMs } = await engine.synthesize({ text: 'Hello.' }, never);
    expect(durationMs).toBeGreaterThan(0);
  });

  it('keeps what was to be said out of the log, where a server quotes it', async () => {
    const { engine, speech } = await rig();
    speech.next({ fault: { kind: 'error', status: 422, message: 'bad input "My secret.", sir' } });
    const why = await fails(engine.synthesize({ text: 'My secret.' }, never));
    expect(why).toBe('Error: answered 422: bad input "…", sir');
  });

  it('keeps parts of it out of the log too, and the key', async () => {
    const { engine, speech } = await rig();
    const message = 'key sk-test: cannot say "my SECRET…" (secret/plan)';
    speech.next({ fault: { kind: 'error', status: 500, message } });
    const why = await fails(engine.synthesize({ text: 'My secret plan.' }, never));
    expect(why).not.toMatch(/secret|plan|sk-test/i);
    expect(why).toMatch(/answered 500: key …: cannot say/);
  });

  it('says in the log that a key was refused or nobody is there', async () => {
    const { engine, server } = await rig(new FakeSpeech(), { apiKey: 'sk-other' });
    expect(await fails(engine.synthesize({ text: 'Hello.' }, never))).toMatch(/401.*Incorrect API/);
    await server.stop();
    await fails(engine.synthesize({ text: 'Hello.' }, never));
  });

  it.each([false, true])(
    'P33: an abort closes the connection within 100 ms; headers had come: %s',
    async (headers) => {
      const { engine, speech } = await rig();
      const abort = async (): Promise<number> => {
        speech.next({ fault: { kind: 'hang', headers } });
        speech.calls.length = 0;
        const controller = new AbortController();
        const speaking = engine.synthesize({ text: 'Hello.' }, controller.signal);
        speaking.catch(() => undefined);
        await until(() => speech.calls.length === 1, 'the request');
        const reason = new Error('enough');
        const abortedMs = performance.now();
        controller.abort(reason);
        await expect(speaking).rejects.toBe(reason);
        const { exchange } = speech.calls[0] ?? {};
        await exchange?.closed;
        return (exchange?.abortedMs ?? Number.NaN) - abortedMs;
      };
      expect(await quickest(100, abort)).toBeLessThan(100);
    },
  );

  it('ends what runs when it is stopped', async () => {
    const { engine, speech } = await rig();
    speech.next({ fault: { kind: 'hang' } });
    const speaking = fails(engine.synthesize({ text: 'Hello.' }, never));
    await until(() => speech.calls.length === 1, 'the request');
    await engine.stop();
    await speaking;
    await speech.calls[0]?.exchange.closed;
  });
});

describe('Speaker over a server', () => {
  const REPLY = 'This is one. This is two. This is three. This is four. This is five.';

  it('P25, P27: says every phrase, in order, each as a WAV of its own', async () => {
    const { engine, speech } = await rig();
    const { events, ended, told } = speak(engine, `${REPLY} And what is left`);
    await ended;
    expect(told()).toEqual(
      [0, 1, 2, 3, 4, 5].flatMap((phrase) => [`speech ${phrase}`, `phrase_done ${phrase}`]),
    );
    const inputs = speech.calls.map(({ input }) => input);
    expect(inputs.sort()).toEqual(
      [...(REPLY.match(/This[^.]*\./gu) ?? []), 'And what is left'].sort(),
    );
    for (const event of events) {
      if (event.type !== 'speech') continue;
      const { pcm, sampleRate } = readWav(Buffer.from(event.audio, 'base64'));
      expect(rmsDbfs(pcm)).toBeGreaterThan(-20);
      expect(event.durationMs).toBeCloseTo((pcm.length / 2 / sampleRate) * 1000);
    }
  });

  it('P29: two requests overlap, never three', async () => {
    const { engine, speech } = await rig(new FakeSpeech({ reply: () => ({ afterMs: 60 }) }));
    await speak(engine, REPLY).ended;
    expect(speech.calls).toHaveLength(5);
    expect(speech.mostAtATime).toBe(2);
  });

  it('P30: a phrase that hangs is left out in time, its request closed, the others spoken', async () => {
    const { engine, speech } = await rig(
      new FakeSpeech({
        reply: ({ input }) => (input.includes('two') ? { fault: { kind: 'hang' } } : {}),
      }),
    );
    const { ended, told, outcomes } = speak(engine, REPLY, { timeoutMs: 2_000 });
    await ended;
    expect(told().filter((line) => !line.startsWith('phrase_done'))).toEqual([
      'speech 0',
      'tts_timeout 1',
      'speech 2',
      'speech 3',
      'speech 4',
    ]);
    expect(outcomes.find(({ outcome }) => outcome === 'timeout')?.seconds).toBeGreaterThan(1.9);
    await speech.calls.find(({ input }) => input.includes('two'))?.exchange.closed;
  });

  it('P31: of more than five that wait the oldest is dropped, and the running ones finish', async () => {
    const { engine, speech } = await rig(new FakeSpeech({ reply: () => ({ afterMs: 30 }) }));
    const nine = `${REPLY} This is six. This is seven. This is eight. This is nine.`;
    const { ended, told } = speak(engine, nine);
    await ended;
    expect(told().filter((line) => line.includes('drop'))).toEqual([
      'phrase_dropped 2',
      'phrase_dropped 3',
    ]);
    expect(told().filter((line) => line.startsWith('speech'))).toEqual(
      [0, 1, 4, 5, 6, 7, 8].map((phrase) => `speech ${phrase}`),
    );
    expect(speech.calls.map(({ input }) => input)).not.toContain('This is three.');
  });

  it('P33: an abort closes both requests within 100 ms, and nothing more is told or asked', async () => {
    const { engine, speech } = await rig(
      new FakeSpeech({ reply: () => ({ fault: { kind: 'hang' } }) }),
    );
    const cancel = async (): Promise<number> => {
      speech.calls.length = 0;
      const { ended, events, abort } = speak(engine, REPLY);
      await until(() => speech.calls.length === 2, 'two requests');
      const abortedMs = performance.now();
      abort();
      await ended;
      await Promise.all(speech.calls.map(({ exchange }) => exchange.closed));
      expect(events).toEqual([]);
      expect(speech.calls).toHaveLength(2);
      return Math.max(
        ...speech.calls.map(({ exchange }) => (exchange.abortedMs ?? Number.NaN) - abortedMs),
      );
    };
    expect(await quickest(100, cancel)).toBeLessThan(100);
  });
});
