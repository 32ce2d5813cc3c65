import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { buffersOf, type SileroStep } from './silero-messages.ts';
import { CONTEXT_SAMPLES, INPUT_SAMPLES, MAX_BATCH } from './silero-model.ts';
import type { Decider } from './silero-stream.ts';
import type { ThreadListener } from './silero-thread-handle.ts';
import { SileroVad } from './silero-vad.ts';

const FRAME = 512;
const GATHER_MS = 32;
const LATE_MS = 500;

/** A thread that answers when it is told to: a frame whose samples are above 1000 has a voice. */
class FakeThread {
  readonly listener: ThreadListener;
  readonly steps: SileroStep[] = [];
  readonly forgotten: number[] = [];
  stopped = false;

  constructor(listener: ThreadListener) {
    this.listener = listener;
  }

  step(step: SileroStep): void {
    // As between threads: who sent it has lost it.
    this.steps.push(structuredClone(step, { transfer: buffersOf(step) }));
  }

  forget(stream: number): void {
    this.forgotten.push(stream);
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }

  /** Answers the oldest step; returns its streams. */
  answer(): number[] {
    const step = this.steps.shift();
    if (step === undefined) throw new Error('there is no step to answer');
    for (let nth = 0; nth < step.count; nth += 1) {
      const last = step.samples[(nth + 1) * INPUT_SAMPLES - 1] ?? 0;
      step.voices[nth] = Math.abs(last) > 1_000 ? 0.9 : 0.1;
    }
    const streams = Array.from(step.streams.subarray(0, step.count));
    this.listener.onStep(step);
    return streams;
  }
}

function frame(amplitude: number, count = 1): Buffer {
  const pcm = Buffer.alloc(count * FRAME * 2);
  for (let at = 0; at < pcm.length; at += 2) pcm.writeInt16LE(at % 4 ? amplitude : -amplitude, at);
  for (let at = 2; at < pcm.length; at += 4) pcm.writeInt16LE(amplitude, at);
  return pcm;
}
/** Loud enough to be heard, and a voice to the network. */
const VOICE = 3_000;
/** Loud enough to be asked about; energy takes it for a voice, and the network does not. */
const NOISE = 900;

describe('SileroVad', () => {
  let clock: FakeClock;
  let threads: FakeThread[];
  let vad: SileroVad;
  let decided: Record<Decider, number>;
  let restarts: number;
  let givenUp: string[];
  let steps: number[];

  const thread = (): FakeThread => threads.at(-1) as FakeThread;

  beforeEach(async () => {
    clock = new FakeClock();
    threads = [];
    decided = { model: 0, gate: 0, late: 0 };
    restarts = 0;
    givenUp = [];
    steps = [];
    const starting = SileroVad.start({
      clock,
      stats: {
        onDecided: (by) => {
          decided[by] += 1;
        },
        onStep: (streams) => void steps.push(streams),
        onRestart: () => {
          restarts += 1;
        },
      },
      log: () => undefined,
      onGivenUp: (how) => void givenUp.push(how),
      startThread: (listener) => {
        threads.push(new FakeThread(listener));
        return thread();
      },
    });
    thread().listener.onReady();
    vad = await starting;
  });

  /** A stream, and what was told of it as `v` and `.`. */
  function open(): { push(pcm: Buffer): void; close(): void; readonly frames: string } {
    let frames = '';
    const stream = vad.open((from, until, voiced) => {
      expect([from, until]).toEqual([frames.length * FRAME, (frames.length + 1) * FRAME]);
      frames += voiced ? 'v' : '.';
    });
    return {
      push: (pcm) => stream.push(pcm),
      close: () => stream.close(),
      get frames() {
        return frames;
      },
    };
  }

  it('judges a frame of every stream in one step', () => {
    const streams = [open(), open(), open()];
    for (const [nth, stream] of streams.entries()) stream.push(frame(nth === 1 ? VOICE : NOISE));
    expect(thread().steps).toHaveLength(0);
    clock.advance(GATHER_MS);
    expect(thread().answer()).toEqual([1, 2, 3]);
    expect(streams.map(({ frames }) => frames)).toEqual(['.', 'v', '.']);
    expect([steps, decided]).toEqual([[3], { model: 3, gate: 0, late: 0 }]);
  });

  it('goes on at once while frames wait, one of each stream at a time and in order', () => {
    const [a, b] = [open(), open()];
    a.push(Buffer.concat([frame(VOICE, 2), frame(NOISE)]));
    b.push(frame(NOISE, 2));
    clock.advance(GATHER_MS);
    expect([thread().answer(), thread().answer(), thread().answer()]).toEqual([
      [1, 2],
      [1, 2],
      [1],
    ]);
    expect([a.frames, b.frames, thread().steps.length]).toEqual(['vv.', '..', 0]);
  });

  it('shows the network what lies before each frame', () => {
    const a = open();
    a.push(Buffer.concat([frame(1_500), frame(VOICE)]));
    clock.advance(GATHER_MS);
    expect(
      thread()
        .steps[0]?.samples.subarray(0, CONTEXT_SAMPLES)
        .every((s) => s === 0),
    ).toBe(true);
    thread().answer();
    const context = thread().steps[0]?.samples.subarray(0, CONTEXT_SAMPLES) ?? [];
    expect(Array.from(context).every((sample) => Math.abs(sample) === 1_500)).toBe(true);
  });

  it('takes turns when there are more streams than go into a step', () => {
    const streams = Array.from({ length: MAX_BATCH + 10 }, open);
    for (const stream of streams) stream.push(frame(VOICE, 2));
    clock.advance(GATHER_MS);
    expect(thread().answer()).toHaveLength(MAX_BATCH);
    // The ten that had no turn are in this one.
    expect(thread().answer().slice(0, 10)).toEqual([65, 66, 67, 68, 69, 70, 71, 72, 73, 74]);
    while (thread().steps.length > 0) thread().answer();
    expect(new Set(streams.map(({ frames }) => frames))).toEqual(new Set(['vv']));
  });

  it('does not ask where nothing has stirred for a second', () => {
    const a = open();
    a.push(frame(0, 100));
    clock.advance(GATHER_MS);
    while (thread().steps.length > 0) thread().answer();
    const asked = decided.model;
    expect([asked < 40, a.frames]).toEqual([true, '.'.repeat(100)]);
    a.push(frame(0, 50));
    expect([decided.gate >= 50, a.frames.length]).toEqual([true, 150]);
    a.push(frame(VOICE));
    clock.advance(GATHER_MS);
    thread().answer();
    expect(a.frames.at(-1)).toBe('v');
  });

  it('lets energy decide what has waited for half a second, and drops the late answer', () => {
    const a = open();
    a.push(frame(NOISE, 3));
    clock.advance(GATHER_MS);
    expect(thread().steps).toHaveLength(1);
    clock.advance(LATE_MS + GATHER_MS);
    // Energy takes that for a voice.
    expect([a.frames, decided.late]).toEqual(['vvv', 3]);
    a.push(frame(NOISE));
    thread().answer();
    expect(a.frames).toBe('vvv');
    thread().answer();
    expect([a.frames, clock.pending]).toEqual(['vvv.', 1]);
    clock.advance(GATHER_MS);
    expect(clock.pending).toBe(0);
  });

  it('keeps no more than 65 s of a stream', () => {
    const a = open();
    a.push(frame(VOICE, 2_048));
    expect(a.frames).toBe('');
    a.push(frame(NOISE, 3));
    expect([a.frames, decided.late]).toEqual(['vvv', 3]);
  });

  it('starts a thread that ended once more, and tells at once what was with the first', () => {
    const [a, b] = [open(), open()];
    a.push(frame(NOISE, 2));
    b.push(frame(0));
    clock.advance(GATHER_MS);
    thread().listener.onDown('killed');
    expect([threads.length, restarts, a.frames, b.frames]).toEqual([2, 1, 'vv', '.']);
    a.push(frame(NOISE));
    clock.advance(GATHER_MS);
    expect(thread().steps).toHaveLength(0);
    thread().listener.onReady();
    expect(thread().answer()).toEqual([1]);
    expect([a.frames, givenUp]).toEqual(['vv.', []]);
  });

  it('gives up a thread that ends again, and has energy decide what still comes', () => {
    const a = open();
    thread().listener.onDown('killed');
    thread().listener.onReady();
    a.push(frame(NOISE));
    clock.advance(GATHER_MS);
    thread().listener.onDown('killed again');
    expect([threads.length, givenUp, a.frames]).toEqual([2, ['killed again'], 'v']);
    a.push(frame(NOISE));
    expect(a.frames).toBe('vv');
  });

  it('does not count against a thread what happened long ago', () => {
    thread().listener.onDown('killed');
    thread().listener.onReady();
    clock.advance(3_600_000);
    thread().listener.onDown('killed again');
    expect([threads.length, givenUp]).toEqual([3, []]);
  });

  it('says nothing of a closed stream, and has the thread forget it', () => {
    const a = open();
    a.push(frame(VOICE, 2));
    clock.advance(GATHER_MS);
    a.close();
    thread().answer();
    a.push(frame(VOICE));
    clock.advance(1_000);
    expect([a.frames, thread().forgotten, thread().steps.length]).toEqual(['', [1], 0]);
  });

  it('leaves neither a thread nor a timer behind', async () => {
    const a = open();
    a.push(frame(VOICE));
    await vad.stop();
    await vad.stop();
    expect([thread().stopped, clock.pending]).toEqual([true, 0]);
    a.push(frame(VOICE));
    expect([a.frames, clock.pending]).toEqual(['', 0]);
  });
});
