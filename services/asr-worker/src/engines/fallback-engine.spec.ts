import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { speak } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import type { AsrEngine, EngineStream } from './engine.ts';
import { FallbackEngine } from './fallback-engine.ts';

const ORIGIN = { sessionId: 's', utterance: 1, attempt: 0 };

describe('FallbackEngine', () => {
  let clock: FakeClock;
  let first: ScriptedEngine;
  let second: ScriptedEngine;
  let engine: FallbackEngine;
  let logged: string[];

  beforeEach(() => {
    clock = new FakeClock();
    first = new ScriptedEngine({ slots: 8, model: 'first', maxSegmentSamples: 1_000 });
    second = new ScriptedEngine({ slots: 2, model: 'second', maxSegmentSamples: 500 });
    logged = [];
    engine = new FallbackEngine([first, second], {
      clock,
      log: (event) => void logged.push(event),
    });
  });

  /** What one stream makes of a word, or the message of its failure. */
  async function hear(on: AsrEngine = engine): Promise<string> {
    const stream = on.open({}, ORIGIN);
    const read = async (from: EngineStream): Promise<string> => {
      let text = '';
      for await (const event of from.events)
        if (event.kind === 'words') text += event.words.map((word) => word.text).join('');
      return text;
    };
    const reading = read(stream).catch((error: Error) => error.message);
    await stream.write(speak([1])).catch(() => undefined);
    stream.finish();
    return reading;
  }

  /** The next stream of `on` fails in its events, as real ones do. */
  function failNext(on: ScriptedEngine, times: number): void {
    const open = on.open.bind(on);
    let left = times;
    on.open = () => {
      left -= 1;
      if (left < 0) return open();
      return {
        write: async () => undefined,
        finish: () => undefined,
        abort: () => undefined,
        events: {
          [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('scripted')) }),
        },
      };
    };
  }

  it('uses the first engine while that is ready, and shows itself as it', async () => {
    expect(await hear()).toBe('w1');
    expect([first.streams.length, second.streams.length]).toEqual([1, 0]);
    expect([engine.model, engine.slots]).toEqual(['first', 8]);
  });

  it('E19: lets the next one serve audio while the first is not ready', async () => {
    first.healthy = false;
    expect([engine.model, engine.slots, engine.health().state]).toEqual(['first', 2, 'ready']);
    expect(await hear()).toBe('w1');
    expect(second.streams).toHaveLength(1);
    first.healthy = true;
    await hear();
    expect(first.streams).toHaveLength(1);
    expect(logged).toEqual(['engine_switched', 'engine_switched']);
  });

  it('E19: leaves an engine alone for 30 s after three streams in a row failed', async () => {
    failNext(first, 3);
    for (const _ of [1, 2, 3]) expect(await hear()).toBe('scripted');
    expect(await hear()).toBe('w1');
    expect([first.streams.length, second.streams.length]).toEqual([0, 1]);
    clock.advance(29_999);
    await hear();
    expect(second.streams).toHaveLength(2);
    clock.advance(1);
    await hear();
    expect(first.streams).toHaveLength(1);
  });

  it('forgets faults that were followed by success', async () => {
    failNext(first, 2);
    await hear();
    await hear();
    await hear();
    failNext(first, 2);
    await hear();
    await hear();
    await hear();
    expect([first.streams.length, second.streams.length]).toEqual([2, 0]);
  });

  it('tries a failing engine all the same when there is no other', async () => {
    second.healthy = false;
    failNext(first, 3);
    for (const _ of [1, 2, 3]) await hear();
    expect(await hear()).toBe('w1');
  });

  it('is not ready when none is, and says why', () => {
    first.healthy = false;
    second.healthy = false;
    expect(engine.health()).toEqual({ state: 'error', reason: 'scripted fault' });
  });

  it('starts as soon as one has, and fails when none will', async () => {
    let started = false;
    first.start = () => new Promise(() => undefined);
    void engine.start().then(() => {
      started = true;
    });
    await turn();
    expect(started).toBe(true);
    first.start = () => Promise.reject(new Error('one'));
    second.start = () => Promise.reject(new Error('two'));
    await expect(engine.start()).rejects.toThrow('one; two');
  });

  it('calls no engine unavailable for being stopped while it starts', async () => {
    first.start = () =>
      new Promise((_, reject) => {
        first.stop = async () => reject(new Error('the engine was stopped'));
      });
    await engine.start();
    await engine.stop();
    await turn();
    expect(logged).toEqual([]);
  });

  it('promises only what holds for every one', () => {
    expect(engine.capabilities).toMatchObject({
      maxSegmentSamples: 500,
      endless: false,
      tellsHeard: false,
      minMemoryMiB: 2,
    });
  });

  it('keeps the notes of its engines on a speaker apart', () => {
    const voice = {};
    const seen: unknown[] = [];
    const open = first.open.bind(first);
    first.open = (...args: unknown[]) => {
      seen.push(args[0]);
      (args[0] as { value: unknown }).value = 'first';
      return open();
    };
    second.open = (...args: unknown[]) => {
      seen.push(args[0]);
      return open();
    };
    engine.open(voice, ORIGIN);
    first.healthy = false;
    engine.open(voice, ORIGIN);
    first.healthy = true;
    engine.open(voice, ORIGIN);
    expect(seen).toEqual([{ value: 'first' }, {}, { value: 'first' }]);
    expect(seen[0]).toBe(seen[2]);
  });
});
