import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { EngineStream } from '@voice-fleet/asr-worker/engines/engine';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
} from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const SAMPLES_PER_S = 16_000;
const SAMPLES_PER_TOKEN = 1_280;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function bytesInUse(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Takes its time at the end of each segment: until the test lets it finish. */
class SlowlyFinishing extends ScriptedEngine {
  readonly finishing: (() => void)[] = [];

  override open(): EngineStream {
    const stream = super.open();
    const finish = stream.finish.bind(stream);
    stream.finish = () => void this.finishing.push(finish);
    return stream;
  }
}

let fleet: Fleet;
afterEach(() => fleet[Symbol.asyncDispose]());

async function start(engine: ScriptedEngine, env: Record<string, string>): Promise<YapSocket> {
  fleet = await Fleet.start([engine], env);
  return fleet.client();
}

/** Sends audio no faster than the engine takes it. */
async function stream(client: YapSocket, engine: ScriptedEngine, pcm: Buffer): Promise<void> {
  for (let at = 0; at < pcm.length; at += 4 * SAMPLES_PER_S) {
    const part = pcm.subarray(at, at + 4 * SAMPLES_PER_S);
    const target = engine.takenSamples + part.length / 2;
    for (const frame of frames(part)) client.append('u', frame);
    await until(() => engine.takenSamples >= target, 'the engine took the audio');
  }
}

/** One utterance of this audio; returns its final text. */
async function transcribe(client: YapSocket, engine: ScriptedEngine, pcm: Buffer): Promise<string> {
  client.start('u');
  await stream(client, engine, pcm);
  client.finalize('u');
  return (await client.next('final')).payload.normalized_text;
}

const typesOf = (client: YapSocket): Set<string> =>
  new Set(client.of('u').map((frame) => frame.type));

describe('an utterance longer than a segment', () => {
  it('gives ten minutes of words once each, with one final and one done, in steady memory (Y38)', async () => {
    const engine = new ScriptedEngine();
    const client = await start(engine, { STT_SEGMENT_SECONDS: '10' });
    client.start('u');
    const samples: number[] = [];
    for (let minute = 0; minute < 10; minute += 1) {
      await stream(client, engine, speak(range(minute * 150 + 1, (minute + 1) * 150)));
      samples.push(bytesInUse());
    }
    client.finalize('u');
    const done = await client.next('done');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 1_500)));
    expect(client.text('u')).toBe(transcript(range(1, 1_500)));
    const types = client.of('u').map((frame) => frame.type);
    expect(types.slice(-2)).toEqual(['final', 'done']);
    expect(new Set(types.slice(0, -2))).toEqual(new Set(['token']));
    // 600 s in steps of 9.2 s, for 0.8 s of each segment are heard twice.
    expect(engine.streams).toHaveLength(66);
    expect(engine.openStreams).toBe(0);
    expect(Math.max(...engine.streams.map((each) => each.samples))).toBe(10 * SAMPLES_PER_S);
    const used = engine.streams.map((each) => Math.ceil(each.samples / SAMPLES_PER_TOKEN));
    expect(done.payload.usage.prompt_tokens).toBe(used.reduce((sum, tokens) => sum + tokens));
    // What is in flight comes and goes, hence the lowest. Five minutes are 10 MB of audio, their tokens less than one.
    const grown = Math.min(...samples.slice(5)) - Math.min(...samples.slice(0, 5));
    expect(grown).toBeLessThan(3_000_000);
  });

  it('sums the usage over its segments (Y16)', async () => {
    const engine = new ScriptedEngine();
    const client = await start(engine, {
      STT_SEGMENT_SECONDS: '2',
      STT_SEGMENT_OVERLAP_SECONDS: '0',
    });
    await transcribe(client, engine, speak(range(1, 20)));
    expect((await client.next('done')).payload.usage).toEqual({
      prompt_tokens: 100,
      completion_tokens: 20,
      total_tokens: 120,
    });
    expect(engine.streams).toHaveLength(4);
  });

  it('has in its transcript what is sent while a segment is being finished, and drops nothing (Y40)', async () => {
    const engine = new SlowlyFinishing();
    const client = await start(engine, { STT_SEGMENT_SECONDS: '5' });
    client.start('u');
    // The engine finishes a segment only when more audio shows that there is another to come.
    for (const frame of frames(speak(range(1, 15)))) client.append('u', frame);
    await until(() => engine.finishing.length === 1, 'the first segment is being finished');
    for (const frame of frames(speak(range(16, 24)))) client.append('u', frame);
    await client.settled();
    expect(engine.streams).toHaveLength(1);
    engine.finishing.shift()?.();
    await until(() => engine.finishing.length === 1, 'the second segment is being finished');
    client.append('u', speak([25]));
    client.finalize('u');
    engine.finishing.shift()?.();
    await until(() => engine.finishing.length === 1, 'the last segment is being finished');
    engine.finishing.shift()?.();
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 25)));
    expect(typesOf(client)).toEqual(new Set(['token', 'final', 'done']));
  });

  it('has every word once when audio was dropped while a segment was being finished (Y40)', async () => {
    const engine = new SlowlyFinishing();
    const client = await start(engine, { STT_SEGMENT_SECONDS: '5' });
    client.start('u');
    for (const frame of frames(speak(range(1, 13)))) client.append('u', frame);
    await until(() => engine.finishing.length === 1, 'the first segment is being finished');
    // 0.2 s wait already; of these 8 s the last 5 are kept, from the middle of word 21.
    for (const frame of frames(speak(range(14, 33)))) client.append('u', frame);
    await client.next('status');
    await client.settled();
    engine.finishing.shift()?.();
    client.finalize('u');
    await until(() => engine.finishing.length === 1, 'the second segment is being finished');
    engine.finishing.shift()?.();
    await until(() => engine.finishing.length === 1, 'the last segment is being finished');
    engine.finishing.shift()?.();
    const { normalized_text } = (await client.next('final')).payload;
    const heard = normalized_text.split(' ').map((word) => Number(word.slice(1)));
    expect(heard).toEqual([...new Set(heard)].sort((a, b) => a - b));
    expect(heard.slice(0, 12)).toEqual(range(1, 12));
    expect(heard.slice(-12)).toEqual(range(22, 33));
  });
});

describe('the seam between two segments', () => {
  const SEGMENTS = { STT_SEGMENT_SECONDS: '3' };
  const bare = (text: string): string[] =>
    text.split(' ').map((word) => word.toLowerCase().replace(/[^a-z0-9]/g, ''));

  it('neither repeats nor glues words whose case and punctuation the segments spell differently (Y39)', async () => {
    const spell = (word: number, nth: number): string =>
      `${nth < 2 ? 'W' : 'w'}${word}${['', ',', '.'][nth % 3]}`;
    const engine = new ScriptedEngine({ spell });
    const client = await start(engine, SEGMENTS);
    const text = await transcribe(client, engine, speak(range(1, 100)));
    expect(bare(text)).toEqual(range(1, 100).map((word) => `w${word}`));
    expect(client.text('u')).toBe(text);
    expect(engine.streams.length).toBeGreaterThan(15);
  });

  it('parts words by a space where an engine begins each segment without one (Y39)', async () => {
    const engine = new ScriptedEngine({ spell: (word) => `w${word}` });
    const client = await start(engine, { ...SEGMENTS, STT_SEGMENT_OVERLAP_SECONDS: '0' });
    // Segments of 3 s hold seven words and a half; with pauses there, none is cut.
    const words = range(1, 28);
    const paused = words.map((word, nth) =>
      nth % 7 === 6 ? Buffer.concat([speak([word]), silence(200)]) : speak([word]),
    );
    expect(await transcribe(client, engine, Buffer.concat(paused))).toBe(transcript(words));
  });

  it('keeps every one of the words that a speaker repeats across seams (Y39)', async () => {
    const engine = new ScriptedEngine();
    const client = await start(engine, SEGMENTS);
    const repeated = Array.from({ length: 60 }, () => 7);
    expect(await transcribe(client, engine, speak(repeated))).toBe(transcript(repeated));
  });

  it('keeps repetitions apart from what both segments heard, in pairs and triples (Y39)', async () => {
    const engine = new ScriptedEngine();
    const client = await start(engine, SEGMENTS);
    const words = range(1, 60).flatMap((word) =>
      word % 3 === 0 ? [word, word, word] : [word, word],
    );
    expect(await transcribe(client, engine, speak(words))).toBe(transcript(words));
  });

  it.each(range(0, 9).map((step) => step * 40))(
    'has each word once when the first boundary cuts words %d ms later than at a word’s begin (Y39)',
    async (shiftMs) => {
      const engine = new ScriptedEngine();
      const client = await start(engine, SEGMENTS);
      const words = range(1, 40);
      const pcm = Buffer.concat([silence(shiftMs), speak(words)]);
      expect(await transcribe(client, engine, pcm)).toBe(transcript(words));
    },
  );

  it('has each word once when the engine recognises even small parts of cut words (Y39)', async () => {
    const engine = new ScriptedEngine({ minHeard: 0.1 });
    const client = await start(engine, SEGMENTS);
    const words = range(1, 100);
    expect(await transcribe(client, engine, speak(words))).toBe(transcript(words));
  });
});

describe('the length of a segment', () => {
  const lengths = (engine: ScriptedEngine): number[] =>
    engine.streams.map(({ samples }) => samples);

  it('is without limit where rolling is off (Y41)', async () => {
    const engine = new ScriptedEngine();
    const client = await start(engine, { STT_INTERNAL_ROLL: '0', STT_SEGMENT_SECONDS: '5' });
    const words = range(1, 50);
    expect(await transcribe(client, engine, speak(words))).toBe(transcript(words));
    expect(lengths(engine)).toEqual([50 * SLOT_SAMPLES]);
  });

  it('never exceeds what VLLM_MAX_MODEL_LEN leaves for audio (Y41)', async () => {
    const engine = new ScriptedEngine();
    const client = await start(engine, { STT_SEGMENT_SECONDS: '60', VLLM_MAX_MODEL_LEN: '256' });
    const words = range(1, 75);
    expect(await transcribe(client, engine, speak(words))).toBe(transcript(words));
    expect(Math.max(...lengths(engine))).toBe((256 / 2 - 104) * SAMPLES_PER_TOKEN);
    expect(engine.streams.length).toBeGreaterThan(2);
  });

  it.each(['0', '1'])(
    'never exceeds the engine’s own limit with STT_INTERNAL_ROLL=%s (Y41)',
    async (roll) => {
      const limit = 4 * SAMPLES_PER_S;
      const engine = new ScriptedEngine({ maxSegmentSamples: limit });
      const client = await start(engine, { STT_INTERNAL_ROLL: roll });
      // 4 s hold ten words, so that the boundary cuts none even where nothing overlaps.
      const words = range(1, 50);
      expect(await transcribe(client, engine, speak(words))).toBe(transcript(words));
      expect(Math.max(...lengths(engine))).toBe(limit);
    },
  );
});
