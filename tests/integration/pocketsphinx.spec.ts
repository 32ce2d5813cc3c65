import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EngineEvent, EngineStream, VoiceState } from '@voice-fleet/asr-worker/engines/engine';
import {
  MAX_SEGMENT_SAMPLES,
  PocketsphinxEngine,
} from '@voice-fleet/asr-worker/engines/pocketsphinx/engine';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { readWav } from '@voice-fleet/speech/wav';
import type { Word } from '@voice-fleet/speech/words';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';

/** Set by `npm test` where the packages are unpacked instead of installed. */
const RECORDINGS = process.env['VF_SAMPLE_DIR'] ?? '/usr/share/pocketsphinx/test/data/librivox';
const CHUNK_BYTES = 3_200;

interface Heard {
  readonly events: readonly EngineEvent[];
  readonly words: readonly Word[];
  readonly text: string;
  /** Words settled before `finish`. */
  readonly early: number;
}

const pids: number[] = [];
const log = (_event: string, { pid }: Record<string, unknown>): void => {
  if (typeof pid === 'number') pids.push(pid);
};

let engine: PocketsphinxEngine;
let clips: readonly Buffer[];
let short: Buffer;
let long: Buffer;

beforeAll(async () => {
  const files = readdirSync(RECORDINGS).filter((name) => name.endsWith('.wav'));
  clips = files.sort().map((name) => readWav(readFileSync(join(RECORDINGS, name))).pcm);
  const [first, second] = clips;
  if (!first || !second) throw new Error('install pocketsphinx-testdata');
  [long, short] = [first, second];
  engine = new PocketsphinxEngine({ clock, log, slots: 2 });
  await engine.start();
});

afterAll(() => engine.stop());

async function listen(
  pcm: Buffer,
  { chunkBytes = pcm.length, voice = {} as VoiceState, on = engine } = {},
): Promise<Heard> {
  const stream = on.open(voice);
  let finished = false;
  const feed = async (): Promise<void> => {
    for (let at = 0; at < pcm.length; at += chunkBytes) {
      await stream.write(pcm.subarray(at, at + chunkBytes));
    }
    finished = true;
    stream.finish();
  };
  const [heard] = await Promise.all([read(stream, () => finished), feed()]);
  return heard;
}

async function read(stream: EngineStream, isFinished = () => false): Promise<Heard> {
  const events: EngineEvent[] = [];
  const words: Word[] = [];
  let early = 0;
  for await (const event of stream.events) {
    events.push(event);
    if (event.kind !== 'words') continue;
    words.push(...event.words);
    if (!isFinished()) early = words.length;
  }
  return { events, words, early, text: words.map((word) => word.text).join('') };
}

function kill(pid: number | undefined): void {
  if (pid === undefined) throw new Error('no decoding process was logged');
  process.kill(pid, 'SIGKILL');
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function noise(samples: number, amplitude: number): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  let state = 1;
  for (let at = 0; at < samples; at++) {
    state = (state * 48_271) % 2_147_483_647;
    pcm.writeInt16LE(Math.round((state / 2_147_483_647 - 0.5) * 2 * amplitude), at * 2);
  }
  return pcm;
}

describe('PocketsphinxEngine', () => {
  it('hears most of what was read out loud', async () => {
    const { text } = await listen(clips.at(-1) as Buffer);
    expect(text).toBe('he might even have been made amiable himself');
  });

  it('settles words and shows guesses while audio still comes', async () => {
    const { events, early, words } = await listen(long, { chunkBytes: CHUNK_BYTES });
    expect(early).toBeGreaterThan(words.length / 2);
    const tails = events.flatMap((event) => (event.kind === 'words' ? [event.tail] : []));
    expect(tails.filter((tail) => tail !== '').length).toBeGreaterThan(10);
    expect(tails.at(-1)).toBe('');
    expect(events.at(-1)).toEqual({
      kind: 'end',
      promptTokens: Math.ceil(long.length / 2 / 1_280),
      completionTokens: words.length,
    });
  });

  it('hears the same however the audio is cut', async () => {
    const whole = await listen(long);
    for (const chunkBytes of [CHUNK_BYTES, 777, 20_001]) {
      expect((await listen(long, { chunkBytes })).words).toEqual(whole.words);
    }
  });

  it('carries the mean of a voice from one stream to the next', async () => {
    const voice: VoiceState = {};
    await listen(long, { voice });
    expect(voice.value).toHaveLength(13);
    const copy = { value: structuredClone(voice.value) };
    const streamed = await listen(short, { voice, chunkBytes: CHUNK_BYTES });
    expect(streamed.words).toEqual((await listen(short, { voice: copy })).words);
  });

  it('keeps word times in order and inside the audio', async () => {
    for (const pcm of clips) {
      const { words } = await listen(pcm);
      let before = 0;
      for (const { text, startSample, endSample } of words) {
        expect(text).toMatch(before === 0 ? /^[a-z']/ : /^ ?[a-z']/);
        expect(startSample).toBeGreaterThanOrEqual(before);
        expect(endSample).toBeGreaterThan(startSample);
        before = endSample;
      }
      expect(before).toBeLessThanOrEqual(pcm.length / 2);
    }
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.alloc(1)],
    ['one sample', Buffer.alloc(2)],
    ['digital silence', Buffer.alloc(96_000)],
    ['low noise', noise(48_000, 60)],
    ['a faint hiss', noise(48_000, 160)],
  ])('makes no words of %s', async (_name, pcm) => {
    expect((await listen(pcm, { chunkBytes: 999 })).text).toBe('');
  });

  it('makes no words of silence when it knows the voice', async () => {
    const voice: VoiceState = {};
    await listen(long, { voice });
    expect((await listen(noise(48_000, 160), { voice })).text).toBe('');
  });

  it('survives a full-scale square wave and random bytes', async () => {
    const square = Buffer.alloc(64_000);
    for (let at = 0; at < square.length; at += 2) {
      square.writeInt16LE(at % 160 < 80 ? 32_767 : -32_768, at);
    }
    await listen(square);
    await listen(noise(32_000, 32_767), { chunkBytes: 4_321 });
    expect(engine.health()).toEqual({ state: 'ready' });
  });

  it('serves more streams than it has decoders', async () => {
    const alone = await listen(short);
    const together = await Promise.all(
      [CHUNK_BYTES, short.length, 5_000, 777, CHUNK_BYTES].map((chunkBytes) =>
        listen(short, { chunkBytes }),
      ),
    );
    for (const { words } of together) expect(words).toEqual(alone.words);
  });

  it('gives the decoder back when a stream is aborted at any time', async () => {
    for (let writes = 0; writes < 12; writes++) {
      const stream = engine.open({});
      const heard = read(stream);
      for (let at = 0; at < writes; at++) {
        await stream.write(short.subarray(at * 8_000, (at + 1) * 8_000));
      }
      const unsettled = writes % 2 === 0 ? stream.write(short) : undefined;
      if (writes % 3 === 0) stream.finish();
      stream.abort();
      stream.abort();
      await unsettled;
      expect((await heard).events.some((event) => event.kind === 'end')).toBe(false);
    }
    const served = await Promise.all([listen(short), listen(short)]);
    expect(served[0].words).toEqual(served[1].words);
  });

  it('refuses more audio than it can keep, and audio after the end', async () => {
    const stream = engine.open({});
    await expect(stream.write(Buffer.alloc(MAX_SEGMENT_SAMPLES * 2 + 2))).rejects.toThrow(
      'a segment holds',
    );
    stream.finish();
    await expect(stream.write(short)).rejects.toThrow('after finish');
    expect((await read(stream)).text).toBe('');
  });

  it('says the same, once, when the decoding process is killed in the middle', async () => {
    const undisturbed = await listen(long, { chunkBytes: CHUNK_BYTES });
    const stream = engine.open({});
    const heard = read(stream);
    for (let at = 0, chunk = 0; at < long.length; at += CHUNK_BYTES, chunk++) {
      const settled = stream.write(long.subarray(at, at + CHUNK_BYTES));
      if (chunk === 40 || chunk === 55) kill(pids.at(-1));
      await settled;
    }
    stream.finish();
    expect((await heard).words).toEqual(undisturbed.words);
    expect(engine.health()).toEqual({ state: 'ready' });
  });

  it('says the same when the decoding process is killed after finish', async () => {
    const undisturbed = await listen(short);
    const stream = engine.open({});
    await stream.write(short);
    stream.finish();
    kill(pids.at(-1));
    expect((await read(stream)).words).toEqual(undisturbed.words);
  });

  it('fails a stream that no decoding process survives, and lives on', async () => {
    let deaths = 0;
    const fragile = new PocketsphinxEngine({
      clock,
      slots: 1,
      log: (event, { pid }) => {
        if (event !== 'engine_ready' || typeof pid !== 'number') return;
        if (deaths++ < 4) kill(pid);
      },
    });
    const started = fragile.start();
    const stream = fragile.open({});
    const failed = expect(read(stream)).rejects.toThrow('the decoder failed 4 times');
    await expect(stream.write(short)).rejects.toThrow('the decoder failed 4 times');
    await failed;
    await started;
    expect((await listen(short, { on: fragile })).text).not.toBe('');
    await fragile.stop();
  });

  it('replaces a decoding process that hangs', async () => {
    const undisturbed = await listen(short);
    const time = new FakeClock();
    let pid = 0;
    const other = new PocketsphinxEngine({
      clock: time,
      slots: 1,
      log: (event, fields) => {
        if (event === 'engine_ready') pid = Number(fields['pid']);
        // Past the wait before the next start, which begins when this call is over.
        else queueMicrotask(() => time.advance(5_000));
      },
    });
    await other.start();
    const stream = other.open({});
    const heard = read(stream);
    await stream.write(short.subarray(0, 40_000));
    process.kill(pid, 'SIGSTOP');
    const written = stream.write(short.subarray(40_000));
    time.advance(12_000);
    await written;
    stream.finish();
    expect((await heard).words).toEqual(undisturbed.words);
    await other.stop();
    expect(time.pending).toBe(0);
  });

  it('leaves no process behind when it stops with open streams', async () => {
    let pid = 0;
    const other = new PocketsphinxEngine({
      clock,
      slots: 1,
      log: (_event, fields) => {
        pid = Number(fields['pid']);
      },
    });
    expect(other.health()).toEqual({ state: 'uninitialized', reason: 'not started' });
    await other.start();
    const stream = other.open({});
    const failed = expect(read(stream)).rejects.toThrow('the engine was stopped');
    const write = expect(stream.write(long)).rejects.toThrow('the engine was stopped');
    await other.stop();
    await Promise.all([failed, write]);
    expect(isAlive(pid)).toBe(false);
    expect(other.health().state).toBe('unloading');
  });

  it('says which packages are missing', async () => {
    const nowhere = new PocketsphinxEngine({ clock, root: '/nonexistent' });
    await expect(nowhere.start()).rejects.toThrow(
      'apt-get install libpocketsphinx3 pocketsphinx-en-us',
    );
  });
});
