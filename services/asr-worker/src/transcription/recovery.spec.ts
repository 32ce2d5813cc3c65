import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { joinText, type Word } from '@voice-fleet/speech/words';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
  WORD_SAMPLES,
} from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import { type EngineEvent, type EngineStream, StreamFault } from '../engines/engine.ts';
import { EventQueue } from '../engines/event-queue.ts';
import type { RunnerFault } from './runner-listener.ts';
import { type RunnerSettings, UtteranceRunner } from './utterance-runner.ts';

const SECOND = 16_000;
const PLAN = {
  segmentSamples: 10 * SECOND,
  pauseFromSamples: 5 * SECOND,
  overlapSamples: 0.8 * SECOND,
};

/** Streams of a scripted engine that fail where the test says: after so many samples, or before their last words. */
class FailingEngine extends ScriptedEngine {
  /** For stream 0, 1, …: after how many samples it fails; `end`: when it is finished; undefined: never. */
  plan: readonly (number | 'end' | undefined)[] = [];
  fault = new StreamFault('closed', 'scripted fault');

  override open(): EngineStream {
    const failAfter = this.plan[this.streams.length];
    const stream = super.open();
    if (failAfter === undefined) return stream;
    const fail = (): StreamFault => {
      stream.abort();
      return this.fault;
    };
    let failed: StreamFault | undefined;
    let left = failAfter === 'end' ? Number.POSITIVE_INFINITY : failAfter;
    async function* events(): AsyncGenerator<EngineEvent> {
      yield* stream.events;
      if (failed) throw failed;
    }
    return {
      events: events(),
      abort: () => stream.abort(),
      finish: () => {
        if (failAfter === 'end') failed = fail();
        else stream.finish();
      },
      write: async (pcm) => {
        const samples = Math.min(left, pcm.length >> 1);
        left -= samples;
        await stream.write(pcm.subarray(0, samples * 2));
        if (left > 0) return;
        failed = fail();
        throw failed;
      },
    };
  }
}

describe('UtteranceRunner, when streams fail', () => {
  let clock: FakeClock;
  let engine: FailingEngine;
  let words: Word[];
  let faults: RunnerFault[];
  let recoveredMs: number[];
  let failures: unknown[];
  let finals: number;
  let dropped: number;

  beforeEach(() => {
    clock = new FakeClock();
    engine = new FailingEngine();
    words = [];
    faults = [];
    recoveredMs = [];
    failures = [];
    finals = 0;
    dropped = 0;
  });

  function start(settings: Partial<RunnerSettings> = {}): UtteranceRunner {
    return new UtteranceRunner(0, {
      engine,
      voice: {},
      sessionId: 's',
      utterance: 1,
      clock,
      settings: {
        plan: PLAN,
        maxBacklogSamples: 0,
        finishTimeoutMs: 5_000,
        quietTimeoutMs: 10_000,
        recovery: { maxAttempts: 3, overlapSamples: 2 * SECOND, replaySamples: 30 * SECOND },
        ...settings,
      },
      listener: {
        onWords: (more) => void words.push(...more),
        onFinal: (more) => {
          words.push(...more);
          finals += 1;
        },
        onDropped: (samples) => {
          dropped += samples;
        },
        onFailed: (cause) => void failures.push(cause),
        onTaken: () => undefined,
        onSegmentRolled: () => undefined,
        onFault: (fault) => void faults.push(fault),
        onRecovered: (latencyMs) => void recoveredMs.push(latencyMs),
      },
    });
  }

  async function play(runner: UtteranceRunner, pcm: Buffer): Promise<void> {
    for (const frame of frames(pcm)) {
      runner.push(frame);
      await turn();
    }
  }

  /** Lets the waits between attempts pass. */
  async function settle(): Promise<void> {
    for (let round = 0; round < 20; round += 1) {
      await turn();
      clock.advance(300);
    }
  }

  it('E6: has every word once, with rising times, when a stream fails amid them', async () => {
    engine.plan = [3 * SECOND];
    const runner = start();
    await play(runner, speak(range(1, 20)));
    runner.finish();
    await settle();
    expect(joinText(words)).toBe(transcript(range(1, 20)));
    expect(words.map(({ startSample }) => startSample)).toEqual(
      range(0, 19).map((slot) => slot * SLOT_SAMPLES),
    );
    expect(faults).toMatchObject([{ cause: 'closed', attempt: 1, recovering: true }]);
    expect([recoveredMs.length, finals, failures, dropped]).toEqual([1, 1, [], 0]);
    expect([engine.openStreams, clock.pending]).toEqual([0, 0]);
  });

  it('lets the new stream begin an overlap before the last trusted word', async () => {
    engine.plan = [10 * SLOT_SAMPLES];
    const runner = start();
    await play(runner, speak(range(1, 15)));
    runner.finish();
    await settle();
    const [failed, next] = engine.streams;
    expect(failed?.samples).toBe(10 * SLOT_SAMPLES);
    // The tenth word ended where its pause began.
    const trusted = 10 * SLOT_SAMPLES - GAP_BYTES / 2;
    expect(next?.samples).toBe(15 * SLOT_SAMPLES - (trusted - 2 * SECOND));
  });

  it('loses nothing when the last words do not come', async () => {
    engine.plan = ['end'];
    const runner = start();
    await play(runner, speak(range(1, 5)));
    runner.finish();
    await settle();
    expect([joinText(words), finals]).toEqual([transcript(range(1, 5)), 1]);
  });

  it('has its final when only the end of a stream was missing that had heard all', async () => {
    const open = engine.open.bind(engine);
    engine.plan = ['end'];
    engine.open = () => {
      const stream = open();
      const { events } = stream;
      async function* allHeard(): AsyncGenerator<EngineEvent> {
        for await (const event of events) {
          yield event;
          yield { kind: 'heard', untilSample: 5 * SLOT_SAMPLES };
        }
      }
      return {
        write: stream.write,
        finish: stream.finish,
        abort: stream.abort,
        events: allHeard(),
      };
    };
    const runner = start();
    await play(runner, Buffer.concat([speak(range(1, 5))]));
    runner.finish();
    await settle();
    expect([joinText(words), finals, failures]).toEqual([transcript(range(1, 5)), 1, []]);
    expect(faults).toHaveLength(1);
  });

  it('starts over at once when a stream fails while nobody speaks', async () => {
    let fail: (fault: StreamFault) => void = () => undefined;
    const broken = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const open = engine.open.bind(engine);
    engine.open = () => {
      engine.open = open;
      return {
        write: async () => undefined,
        finish: () => undefined,
        abort: () => undefined,
        events: (async function* (): AsyncGenerator<EngineEvent> {
          yield await broken;
        })(),
      };
    };
    const runner = start();
    await play(runner, speak([1, 2]));
    fail(new StreamFault('cadence', 'stalled'));
    await settle();
    await play(runner, silence(100));
    expect(joinText(words)).toBe('w1 w2');
    runner.finish();
    await settle();
    expect(finals).toBe(1);
  });

  it.each(range(0, 12))(
    'has no word twice and one fault of a stream that failed with %i events unread',
    async (unread) => {
      const open = engine.open.bind(engine);
      engine.open = () => {
        engine.open = open;
        const events = new EventQueue<EngineEvent>();
        let heard = 0;
        return {
          events,
          finish: () => undefined,
          abort: () => undefined,
          write: async (pcm) => {
            heard += pcm.length >> 1;
            if (heard < 12 * SLOT_SAMPLES) return;
            // As of a connection of which much is read at once, its end included.
            for (let nth = 0; nth < unread; nth += 1) {
              const startSample = nth * SLOT_SAMPLES;
              const endSample = startSample + WORD_SAMPLES;
              const text = `${nth === 0 ? '' : ' '}w${nth + 1}`;
              events.push({ kind: 'words', words: [{ text, startSample, endSample }], tail: '' });
            }
            events.end(engine.fault);
            throw engine.fault;
          },
        };
      };
      const runner = start();
      runner.push(speak(range(1, 20)));
      await settle();
      runner.finish();
      await settle();
      expect([joinText(words), finals]).toEqual([transcript(range(1, 20)), 1]);
      expect(faults).toHaveLength(1);
      expect([engine.openStreams, engine.streams.length]).toEqual([0, 2]);
    },
  );

  it('has its final when a stream that had heard all never ends', async () => {
    engine.open = () => {
      const events = new EventQueue<EngineEvent>();
      return {
        events,
        finish: () => undefined,
        abort: () => events.end(),
        write: async () => events.push({ kind: 'heard', untilSample: SLOT_SAMPLES }),
      };
    };
    const runner = start();
    runner.push(speak([1]));
    runner.finish();
    await turn();
    clock.advance(5_000);
    await settle();
    expect([faults.map(({ cause }) => cause), finals, failures]).toEqual([['unresponsive'], 1, []]);
  });

  it('hears again what a stream was deaf to, from where it can be trusted', async () => {
    engine.fault = new StreamFault('blank_rut', 'deaf', { trustedSample: 2 * SLOT_SAMPLES });
    engine.plan = [3 * SECOND];
    const open = engine.open.bind(engine);
    // The first stream hears two words only, and says that it has heard all.
    engine.open = () => {
      const stream = open();
      if (engine.streams.length > 1) return stream;
      const { events } = stream;
      async function* deaf(): AsyncGenerator<EngineEvent> {
        for await (const event of events) {
          const heard = event.kind === 'words' && (event.words[0]?.startSample ?? 0);
          if (heard === false || heard < 2 * SLOT_SAMPLES) yield event;
          yield { kind: 'heard', untilSample: 2.5 * SECOND };
        }
      }
      return { ...stream, write: stream.write, finish: stream.finish, events: deaf() };
    };
    const runner = start();
    await play(runner, speak(range(1, 12)));
    runner.finish();
    await settle();
    expect(joinText(words)).toBe(transcript(range(1, 12)));
  });

  it('E8: fails once, with the cause, when the engine fails again and again', async () => {
    engine.plan = [100, 100, 100, 100, 100];
    const runner = start();
    await play(runner, speak([1, 2]));
    await settle();
    expect(failures).toEqual([engine.fault]);
    expect(faults.map(({ attempt, recovering }) => [attempt, recovering])).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [4, false],
    ]);
    expect([engine.streams.length, finals, engine.openStreams, clock.pending]).toEqual([
      4, 0, 0, 0,
    ]);
  });

  it('does not try again where that is of no use', async () => {
    engine.fault = new StreamFault('closed', 'for good', { retryable: false });
    engine.plan = [100];
    await play(start(), speak([1]));
    expect([failures.length, engine.streams.length]).toEqual([1, 1]);
  });

  it('stops waiting for its next attempt when it is cancelled', async () => {
    engine.plan = [100, 100];
    const runner = start();
    await play(runner, speak([1]));
    expect(faults).toHaveLength(2);
    runner.cancel();
    await turn();
    expect([engine.openStreams, clock.pending, failures]).toEqual([0, 0, []]);
  });

  it('keeps more than the usual backlog while it recovers, and no longer than that', async () => {
    engine.plan = [SECOND, 100];
    const runner = start({ maxBacklogSamples: SECOND });
    await play(runner, speak(range(1, 3)));
    for (const frame of frames(speak(range(4, 20)))) runner.push(frame);
    await settle();
    expect(dropped).toBe(0);
    engine.stall();
    runner.push(speak([21]));
    await turn();
    for (const frame of frames(speak(range(22, 27)))) runner.push(frame);
    expect(dropped).toBeGreaterThan(0);
    engine.resume();
    runner.finish();
    await settle();
    expect(joinText(words)).toContain(transcript(range(1, 20)));
  });

  it('settles its words when nothing comes for long, and goes on with the next audio', async () => {
    const runner = start();
    await play(runner, speak([1, 2]).subarray(0, -GAP_BYTES));
    expect(joinText(words)).toBe('w1');
    clock.advance(10_000);
    await turn();
    expect(joinText(words)).toBe('w1 w2');
    expect([engine.openStreams, engine.streams.length]).toEqual([0, 1]);
    await play(runner, speak([3]));
    runner.finish();
    await settle();
    expect(joinText(words)).toBe('w1 w2 w3');
    expect(clock.pending).toBe(0);
  });

  it('leaves the stream of an engine that goes on by itself alone, however long nothing comes', async () => {
    Object.defineProperty(engine, 'capabilities', {
      value: { ...engine.capabilities, endless: true },
    });
    const runner = start();
    await play(runner, speak([1, 2]));
    clock.advance(60_000);
    await turn();
    expect(engine.openStreams).toBe(1);
    await play(runner, speak([3]));
    runner.finish();
    await settle();
    expect([joinText(words), engine.streams.length]).toEqual(['w1 w2 w3', 1]);
  });

  it('cuts a long utterance in a pause, where no word is heard twice', async () => {
    const runner = start();
    // Loud enough to be told from silence.
    const loud = range(3_001, 3_014);
    await play(runner, Buffer.concat([speak(loud), silence(500), speak([3_015, 3_016])]));
    runner.finish();
    await settle();
    expect(joinText(words)).toBe(transcript([...loud, 3_015, 3_016]));
    const [first, second] = engine.streams.map(({ samples }) => samples);
    expect(first).toBeLessThan(14 * SLOT_SAMPLES + 0.5 * SECOND);
    expect((first ?? 0) + (second ?? 0) - (16 * SLOT_SAMPLES + 0.5 * SECOND)).toBeLessThanOrEqual(
      0.5 * SECOND,
    );
    expect(engine.streams).toHaveLength(2);
  });

  it('has every word once wherever streams fail', async () => {
    const where = fc.oneof(fc.integer({ min: 1, max: 12 * SECOND }), fc.constant('end' as const));
    await fc.assert(
      fc.asyncProperty(fc.array(where, { maxLength: 3 }), fc.boolean(), async (plan, slow) => {
        engine = new FailingEngine();
        engine.plan = plan;
        words = [];
        const runner = start();
        const said = range(1, 40);
        if (slow) await play(runner, speak(said));
        else runner.push(speak(said));
        runner.finish();
        await settle();
        expect(joinText(words)).toBe(transcript(said));
      }),
      { numRuns: 60 },
    );
  });
});

const GAP_BYTES = 2 * 1_280;
