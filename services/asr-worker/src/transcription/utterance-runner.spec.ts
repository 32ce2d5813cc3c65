import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { joinText, type Word } from '@voice-fleet/speech/words';
import { frames, range, SLOT_SAMPLES, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import type { EngineEvent, EngineStream } from '../engines/engine.ts';
import type { RunnerUsage } from './runner-listener.ts';
import { type RunnerSettings, UtteranceRunner } from './utterance-runner.ts';

const SECOND = 16_000;
const FINISH_TIMEOUT_MS = 500;
const QUIET_TIMEOUT_MS = 10_000;
const ENDLESS = Number.POSITIVE_INFINITY;
const WHOLE = { segmentSamples: ENDLESS, pauseFromSamples: ENDLESS, overlapSamples: 0 };
const ROLLED = {
  segmentSamples: 2 * SECOND,
  pauseFromSamples: ENDLESS,
  overlapSamples: 0.8 * SECOND,
};

/** An engine whose streams do as the test says in one respect. */
class Altered extends ScriptedEngine {
  readonly #alter: (stream: EngineStream, nth: number) => EngineStream;

  constructor(alter: (stream: EngineStream, nth: number) => EngineStream) {
    super();
    this.#alter = alter;
  }

  override open(): EngineStream {
    return this.#alter(super.open(), this.streams.length);
  }
}

/** Overrides members of a stream that keeps its other ones. */
function withMembers(stream: EngineStream, members: Partial<EngineStream>): EngineStream {
  for (const [name, value] of Object.entries(members))
    Object.defineProperty(stream, name, { value });
  return stream;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

describe('UtteranceRunner', () => {
  let clock: FakeClock;
  let engine: ScriptedEngine;
  let words: Word[];
  let finals: RunnerUsage[];
  let failures: unknown[];
  let dropped: number[];
  let taken: number;
  let rolls: number;

  beforeEach(() => {
    clock = new FakeClock();
    engine = new ScriptedEngine();
    words = [];
    finals = [];
    failures = [];
    dropped = [];
    taken = 0;
    rolls = 0;
  });

  function start(settings: Partial<RunnerSettings> = {}, fromSample = 0): UtteranceRunner {
    const listener = {
      onWords: (more: readonly Word[]) => void words.push(...more),
      onFinal: (last: readonly Word[], usage: RunnerUsage) => {
        words.push(...last);
        finals.push(usage);
      },
      onDropped: (samples: number) => void dropped.push(samples),
      onFailed: (cause: unknown) => void failures.push(cause),
      onTaken: (untilSample: number) => {
        taken = untilSample;
      },
      onSegmentRolled: () => {
        rolls += 1;
      },
      onFault: () => undefined,
      onRecovered: () => undefined,
    };
    const defaults = {
      plan: WHOLE,
      maxBacklogSamples: 0,
      finishTimeoutMs: FINISH_TIMEOUT_MS,
      quietTimeoutMs: QUIET_TIMEOUT_MS,
      recovery: { maxAttempts: 0, overlapSamples: 0, replaySamples: 0 },
    };
    const all = { ...defaults, ...settings };
    return new UtteranceRunner(fromSample, {
      engine,
      voice: {},
      sessionId: 's',
      utterance: 1,
      clock,
      settings: all,
      listener,
    });
  }

  async function say(runner: UtteranceRunner, spoken: readonly number[]): Promise<void> {
    for (const frame of frames(speak(spoken))) {
      runner.push(frame);
      await turn();
    }
  }

  const expectNothingLeft = (): void => {
    expect(engine.openStreams).toBe(0);
    expect(clock.pending).toBe(0);
  };

  describe('on one segment', () => {
    it('tells words as they are settled, then one final with the usage', async () => {
      const runner = start();
      await say(runner, [1, 2, 3]);
      expect(joinText(words)).toBe('w1 w2 w3');
      expect(finals).toEqual([]);
      runner.finish();
      await turn();
      expect(finals).toEqual([{ promptTokens: 15, completionTokens: 3 }]);
      expect([failures, dropped, rolls]).toEqual([[], [], 0]);
      expectNothingLeft();
    });

    it('has word times on the session clock', async () => {
      const runner = start({}, 100_000);
      await say(runner, [1, 2]);
      expect(words.map(({ startSample }) => startSample)).toEqual([
        100_000,
        100_000 + SLOT_SAMPLES,
      ]);
      expect(taken).toBe(100_000 + 2 * SLOT_SAMPLES);
    });

    it('is final at once without audio, and opens no stream for it', async () => {
      start().finish();
      await turn();
      expect(finals).toEqual([{ promptTokens: 0, completionTokens: 0 }]);
      expect(engine.streams).toEqual([]);
    });

    it('hands audio over in pieces of at most 100 ms', async () => {
      const sizes: number[] = [];
      engine = new Altered((stream) =>
        withMembers(stream, { write: async (pcm) => void sizes.push(pcm.length / 2) }),
      );
      start().push(speak([1]));
      await turn();
      expect(sizes).toEqual([1_600, 1_600, 1_600, 1_600]);
    });

    it('sets one timer of each kind for all pieces of an hour, and keeps nothing of those that were taken', async () => {
      const after = jest.spyOn(clock, 'after');
      engine = new Altered((stream) => withMembers(stream, { write: async () => undefined }));
      const runner = start();
      const hear = async (hours: number): Promise<number> => {
        for (let piece = 0; piece < hours * 36_000; piece += 1_000) {
          runner.push(Buffer.alloc(1_000 * 3_200));
          await turn();
        }
        collectGarbage();
        return process.memoryUsage().heapUsed;
      };
      const before = await hear(0.5);
      expect((await hear(1)) - before).toBeLessThan(2_000_000);
      expect(taken).toBe(1.5 * 3_600 * SECOND);
      expect(after).toHaveBeenCalledTimes(2);
      runner.cancel();
      await turn();
      expectNothingLeft();
    });

    it('takes no audio after the finish', async () => {
      const runner = start();
      await say(runner, [1]);
      runner.finish();
      runner.push(speak([2]));
      await turn();
      expect(joinText(words)).toBe('w1');
      expect(finals).toHaveLength(1);
    });
  });

  describe('when cancelled', () => {
    it.each(['decoding', 'stalled'])(
      'says nothing more and leaves nothing, the engine %s',
      async (state) => {
        const runner = start();
        await say(runner, [1, 2]);
        if (state === 'stalled') engine.stall();
        runner.push(speak([3]).subarray(0, 6_400));
        await turn();
        const told = words.length;
        runner.cancel();
        runner.push(speak([4]));
        runner.finish();
        await turn();
        engine.resume();
        await turn();
        expect([words.length, finals, failures]).toEqual([told, [], []]);
        expectNothingLeft();
      },
    );

    it('before any audio came opens no stream', async () => {
      const runner = start();
      runner.cancel();
      await turn();
      expect([engine.streams, finals]).toEqual([[], []]);
    });

    it('while the engine settles its last words, tells no final', async () => {
      engine = new Altered((stream) => withMembers(stream, { finish: () => undefined }));
      const runner = start();
      await say(runner, [1]);
      runner.finish();
      await turn();
      runner.cancel();
      clock.advance(2 * FINISH_TIMEOUT_MS);
      await turn();
      expect([finals, failures]).toEqual([[], []]);
      expectNothingLeft();
    });
  });

  describe('with a backlog', () => {
    it('drops the oldest audio beyond its limit and tells how much; later words keep their times', async () => {
      const runner = start({ maxBacklogSamples: SECOND });
      engine.stall();
      runner.push(Buffer.alloc(3_200));
      await turn();
      for (const frame of frames(speak(range(1, 5)))) runner.push(frame);
      expect(dropped.reduce((sum, samples) => sum + samples)).toBe(SECOND);
      engine.resume();
      await turn();
      runner.finish();
      await turn();
      expect(joinText(words)).toBe('w4 w5');
      expect(words.map(({ startSample }) => startSample)).toEqual([
        1_600 + 3 * SLOT_SAMPLES,
        1_600 + 4 * SLOT_SAMPLES,
      ]);
    });

    it('drops nothing where the limit is 0', async () => {
      const runner = start({ maxBacklogSamples: 0 });
      engine.stall();
      for (const frame of frames(speak(range(1, 100)))) runner.push(frame);
      engine.resume();
      runner.finish();
      await turn();
      expect(dropped).toEqual([]);
      expect(joinText(words)).toBe(transcript(range(1, 100)));
    });
  });

  describe('over several segments', () => {
    it('has every word once, sums the usage, and keeps each segment within its limit', async () => {
      const runner = start({ plan: ROLLED });
      await say(runner, range(1, 20));
      runner.finish();
      await turn();
      expect(joinText(words)).toBe(transcript(range(1, 20)));
      // 8 s in steps of 1.2 s.
      expect(engine.streams.map(({ samples }) => samples / SECOND)).toEqual([2, 2, 2, 2, 2, 2]);
      expect(rolls).toBe(5);
      expect(finals).toEqual([{ promptTokens: 6 * 25, completionTokens: expect.any(Number) }]);
      expectNothingLeft();
    });

    it('begins no segment for audio that exactly fills the last one', async () => {
      const runner = start({ plan: ROLLED });
      await say(runner, range(1, 5));
      runner.finish();
      await turn();
      expect([engine.streams.length, rolls, finals.length]).toEqual([1, 0, 1]);
    });

    it('holds words of the coming overlap back until the next segment has heard them', async () => {
      const runner = start({ plan: ROLLED });
      await say(runner, range(1, 5));
      expect(joinText(words)).toBe(transcript(range(1, 3)));
      await say(runner, range(6, 7));
      expect(joinText(words)).toBe(transcript(range(1, 6)));
    });

    it('has no word twice when audio is dropped while a segment is finished', async () => {
      const finishing: (() => void)[] = [];
      engine = new Altered((stream) => {
        const finish = stream.finish.bind(stream);
        return withMembers(stream, { finish: () => void finishing.push(finish) });
      });
      const runner = start({ plan: ROLLED, maxBacklogSamples: SECOND });
      await say(runner, range(1, 6));
      expect(finishing).toHaveLength(1);
      for (const frame of frames(speak(range(7, 20)))) runner.push(frame);
      runner.finish();
      while (finishing.length > 0) {
        finishing.shift()?.();
        await turn();
      }
      // The last second begins amid word 18.
      expect(joinText(words)).toBe(transcript([...range(1, 5), 19, 20]));
      expect(words.at(-1)?.startSample).toBe(19 * SLOT_SAMPLES);
    });

    it('lets the roll come as much later as audio was dropped amid a segment', async () => {
      const runner = start({ plan: ROLLED, maxBacklogSamples: SECOND });
      await say(runner, [1]);
      engine.stall();
      runner.push(Buffer.alloc(3_200));
      await turn();
      for (const frame of frames(speak(range(2, 11)))) runner.push(frame);
      engine.resume();
      await turn();
      await say(runner, range(12, 20));
      runner.finish();
      await turn();
      expect(joinText(words)).toBe(transcript([1, ...range(10, 20)]));
    });
  });

  describe('with an engine that fails', () => {
    async function expectFailure(message: string): Promise<void> {
      await turn();
      expect(failures).toEqual([expect.objectContaining({ message })]);
      expect(finals).toEqual([]);
      expectNothingLeft();
    }

    it('on a write: fails once, and takes nothing more', async () => {
      const runner = start();
      engine.failNextWrite = true;
      await say(runner, [1, 2]);
      runner.finish();
      await expectFailure('scripted failure');
    });

    it('on opening a stream: fails', async () => {
      engine.open = () => {
        throw new Error('no stream');
      };
      start().push(speak([1]));
      await expectFailure('no stream');
    });

    it('in its events, while a write never settles: fails', async () => {
      let fail: (error: Error) => void = () => undefined;
      const broken = new Promise<never>((_, reject) => {
        fail = reject;
      });
      async function* events(): AsyncGenerator<EngineEvent> {
        yield await broken;
      }
      engine = new Altered((stream) => withMembers(stream, { write: never, events: events() }));
      start().push(speak([1]));
      await turn();
      fail(new Error('child died'));
      await expectFailure('child died');
    });

    it('by ending its events without the last words: fails', async () => {
      engine = new Altered((stream) => withMembers(stream, { finish: () => stream.abort() }));
      const runner = start();
      await say(runner, [1]);
      runner.finish();
      await expectFailure('the engine ended a segment without its last words');
    });

    it('by not settling its last words in time: fails', async () => {
      engine = new Altered((stream) => withMembers(stream, { finish: () => undefined }));
      const runner = start();
      await say(runner, [1]);
      runner.finish();
      await turn();
      clock.advance(FINISH_TIMEOUT_MS - 1);
      await turn();
      expect(failures).toEqual([]);
      clock.advance(1);
      await expectFailure('the engine did not answer in time');
    });

    it.each([1, 2])('by not taking audio in time, in segment %d: fails', async (hanging) => {
      engine = new Altered((stream, nth) =>
        nth === hanging ? withMembers(stream, { write: never }) : stream,
      );
      const runner = start({ plan: ROLLED });
      await say(runner, range(1, 6));
      clock.advance(FINISH_TIMEOUT_MS);
      await expectFailure('the engine did not answer in time');
    });

    it('after many pieces taken in time: fails in time on the one that it does not take', async () => {
      const runner = start();
      await say(runner, range(1, 5));
      clock.advance(FINISH_TIMEOUT_MS - 1);
      engine.stall();
      runner.push(Buffer.alloc(3_200));
      await turn();
      clock.advance(FINISH_TIMEOUT_MS - 1);
      await turn();
      expect(failures).toEqual([]);
      clock.advance(1);
      await expectFailure('the engine did not answer in time');
    });

    it('while it waits for audio: fails on the next', async () => {
      let fail: (error: Error) => void = () => undefined;
      const broken = new Promise<never>((_, reject) => {
        fail = reject;
      });
      async function* events(): AsyncGenerator<EngineEvent> {
        yield await broken;
      }
      engine = new Altered((stream) =>
        withMembers(stream, { write: async () => undefined, events: events() }),
      );
      const runner = start();
      await say(runner, [1]);
      fail(new Error('child died'));
      await turn();
      await say(runner, [2]);
      await expectFailure('child died');
    });

    it('may be slow with each piece, as long as it takes it in time', async () => {
      const runner = start();
      for (let nth = 0; nth < 5; nth += 1) {
        engine.stall();
        runner.push(Buffer.alloc(3_200));
        await turn();
        clock.advance(FINISH_TIMEOUT_MS - 1);
        engine.resume();
        await turn();
      }
      expect(failures).toEqual([]);
    });
  });
});
