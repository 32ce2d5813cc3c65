import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { joinText } from '@voice-fleet/speech/words';
import { range, SLOT_SAMPLES, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import {
  drain,
  expectWhole,
  LateEngine,
  Mover,
  PLAN,
  play,
  SECOND,
  SETTINGS,
  type Speech,
  speech,
  TellingEngine,
  WHOLE,
} from '../../../../tests/support/mover.ts';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import type { EngineStream } from '../engines/engine.ts';
import { UtteranceRunner } from './utterance-runner.ts';

const TELLING = [
  ['tells what it heard', () => new TellingEngine()],
  ['does not tell', () => new ScriptedEngine()],
  ['speaks late', () => new LateEngine()],
] as const;

describe.each(TELLING)(
  'an utterance taken up from another worker, the engine %s',
  (_, newEngine) => {
    it('has every word once wherever it is cut, each 40 ms tried', async () => {
      const parts = [1, 2, 3, 3, 3, 4, 5, 6].map((word, nth) => ({
        word,
        pauseMs: nth === 4 ? 1_000 : 0,
      }));
      const said = speech(parts);
      for (let cut = 0; cut <= said.pcm.length / 2; cut += 640) {
        const mover = new Mover(said, { newEngine });
        await play(mover, [cut]);
        expectWhole(mover);
      }
    }, 30_000);

    it('has every word once, whatever is said and however often it is cut', async () => {
      const parts = fc.array(
        fc.record({
          word: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 5, max: 3_000 })),
          pauseMs: fc.constantFrom(0, 0, 0, 40, 400, 2_500),
        }),
        { minLength: 1, maxLength: 40, size: 'max' },
      );
      const cuts = fc.array(fc.double({ min: 0, max: 1.05, noNaN: true }), {
        minLength: 1,
        maxLength: 3,
      });
      const segmentS = fc.constantFrom(2, 3.1, 5, 30);
      await fc.assert(
        fc.asyncProperty(
          parts,
          cuts,
          segmentS,
          fc.integer({ min: 1, max: 30 }),
          fc.constantFrom(0, 1_000_000),
          async (said, shares, seconds, lag, fromSample) => {
            const plan = { ...PLAN, segmentSamples: seconds * SECOND };
            const settings = { ...SETTINGS, plan, maxBacklogSamples: 0 };
            const mover = new Mover(speech(said), { newEngine, settings, fromSample });
            const total = mover.speech.pcm.length / 2;
            const at = shares.map((share) => (share > 1 ? Infinity : Math.floor(share * total)));
            await play(mover, at, (nth) => nth % lag === 0);
            expectWhole(mover);
          },
        ),
        { numRuns: 60 },
      );
    }, 60_000);

    it('is settled ever further while nobody speaks, so that no more than the overlap is heard again', async () => {
      const said = speech([{ word: 1, pauseMs: 20_000 }]);
      const mover = new Mover(said, { newEngine, settings: { ...SETTINGS, plan: WHOLE } });
      for (let at = 0; at < 15 * SECOND; at += 1_280) {
        mover.send(at);
        await turn();
      }
      await drain(mover);
      expect(mover.settled).toBeGreaterThan(12.8 * SECOND);
      mover.move();
      await drain(mover);
      expect(mover.engine.takenSamples).toBeLessThan(4.4 * SECOND);
      mover.send(said.pcm.length / 2);
      mover.finish();
      await drain(mover);
      expectWhole(mover);
    });
  },
);

describe('an utterance taken up from another worker', () => {
  const words = (count: number): Speech =>
    speech(range(1, count).map((word) => ({ word, pauseMs: 0 })));

  it('loses nothing of a minute that is to be heard again, nor of what comes meanwhile', async () => {
    const said = words(200);
    const mover = new Mover(said);
    mover.engine.stall();
    mover.send(58 * SECOND);
    mover.move();
    mover.engine.stall();
    for (let second = 59; second <= 80; second += 1) {
      mover.send(second * SECOND);
      await turn();
    }
    mover.engine.resume();
    mover.finish();
    await drain(mover);
    expectWhole(mover);
  });

  it('drops audio beyond the usual backlog again once it has caught up', async () => {
    const mover = new Mover(words(100));
    mover.send(4 * SECOND);
    await drain(mover);
    mover.move();
    await drain(mover);
    mover.engine.stall();
    for (let tenth = 40; tenth <= 200; tenth += 1) mover.send((tenth * SECOND) / 10);
    await turn();
    expect(mover.dropped).toBe((16 - 5) * SECOND);
  });

  it('drops live audio, not that to be heard again, where more comes than can ever be caught up', async () => {
    const mover = new Mover(words(300));
    mover.send(8 * SECOND);
    mover.move();
    mover.engine.stall();
    await turn();
    for (let second = 9; second <= 60; second += 1) mover.send(second * SECOND);
    expect(mover.dropped).toBe((60 - 8 - 30) * SECOND);
    mover.engine.resume();
    mover.finish();
    await drain(mover);
    // There are twenty words in eight seconds; the last thirty begin with the 76th.
    expect(joinText(mover.words)).toBe(transcript([...range(1, 20), ...range(76, 150)]));
  });

  it('takes no more than a minute for audio to be heard again, whatever it is told', async () => {
    const engine = new ScriptedEngine();
    engine.stall();
    let dropped = 0;
    const listener = {
      onWords: () => undefined,
      onFinal: () => undefined,
      onDropped: (samples: number) => {
        dropped += samples;
      },
      onFailed: () => undefined,
      onTaken: () => undefined,
      onSegmentRolled: () => undefined,
      onFault: () => undefined,
      onRecovered: () => undefined,
    };
    const clock = new FakeClock();
    const deps = { engine, voice: {}, sessionId: 's', utterance: 1, clock, listener };
    const resume = { heardSample: 0, liveSample: 1_000 * SECOND, words: [] };
    const runner = new UtteranceRunner(0, { ...deps, settings: SETTINGS }, resume);
    for (let second = 0; second < 100; second += 1) runner.push(Buffer.alloc(2 * SECOND));
    expect(dropped).toBe((100 - 60 - 30) * SECOND);
    runner.cancel();
  });

  it('has every word once when the new worker has a fault of its own while it hears again what was heard', async () => {
    class Failing extends ScriptedEngine {
      #left = 1.5 * SECOND;

      override open(): EngineStream {
        const stream = super.open();
        const write = stream.write.bind(stream);
        return Object.defineProperty(stream, 'write', {
          value: async (pcm: Buffer) => {
            this.#left -= pcm.length >> 1;
            if (this.#left < 0 && this.streams.length === 1) this.failNextWrite = true;
            await write(pcm);
          },
        });
      }
    }
    const engines = [new ScriptedEngine(), new Failing()];
    const newEngine = (): ScriptedEngine => engines.shift() ?? new ScriptedEngine();
    const mover = new Mover(words(40), { newEngine });
    await play(mover, [10 * SECOND]);
    expect(mover.broken).toEqual(['scripted failure']);
    expect(joinText(mover.words)).toBe(transcript(range(1, 40)));
    expect([mover.finals, mover.dropped, mover.failures]).toEqual([1, 0, []]);
  });

  it('tells its last words when the client had finished before', async () => {
    const mover = new Mover(words(12));
    mover.send(12 * SLOT_SAMPLES);
    mover.finish();
    mover.move();
    mover.finish();
    await drain(mover);
    expectWhole(mover);
  });

  it('has its final when the worker was lost between the last word and the final', async () => {
    const mover = new Mover(words(12));
    mover.send(12 * SLOT_SAMPLES);
    await drain(mover);
    expect(joinText(mover.words)).toBe(transcript(range(1, 12)));
    mover.finish();
    mover.move();
    mover.finish();
    await drain(mover);
    expectWhole(mover);
  });

  it('does not count words whose voice was taken and is not told yet as settled', async () => {
    // Loud enough to be told from silence; as an engine that says nothing until it knows the speaker.
    const said = speech([{ word: 3_000, pauseMs: 10_000 }]);
    class Mute extends ScriptedEngine {
      override open(): EngineStream {
        return Object.defineProperty(super.open(), 'write', { value: async () => undefined });
      }
    }
    const engines = [new Mute(), new ScriptedEngine()];
    const newEngine = (): ScriptedEngine => engines.shift() ?? new ScriptedEngine();
    const mover = new Mover(said, { newEngine, settings: { ...SETTINGS, plan: WHOLE } });
    for (let at = 0; at < 8 * SECOND; at += 1_280) {
      mover.send(at);
      await turn();
    }
    mover.move();
    mover.send(said.pcm.length / 2);
    mover.finish();
    await drain(mover);
    expectWhole(mover);
  });
});
