import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Reply } from './reply.ts';

describe('Reply', () => {
  let clock: FakeClock;
  let taken: number[];
  let ends: unknown[];
  let relief: Promise<void> | undefined;
  /** Settles the read that waits. */
  let feed: (step: { value?: number; error?: unknown; done?: boolean }) => Promise<void>;
  let left: boolean;

  function open(): Reply<number> {
    let wake: (step: { value?: number; error?: unknown; done?: boolean }) => void = () => undefined;
    feed = async (step) => {
      wake(step);
      await turn();
    };
    async function* source(signal: AbortSignal): AsyncGenerator<number> {
      try {
        for (;;) {
          const step = await new Promise<{ value?: number; error?: unknown; done?: boolean }>(
            (resolve, reject) => {
              wake = resolve;
              signal.addEventListener('abort', () => reject(signal.reason as Error));
            },
          );
          if (step.error) throw step.error as Error;
          if (step.done) return;
          yield step.value ?? 0;
        }
      } finally {
        left = true;
      }
    }
    const taker = {
      take: (value: number) => void taken.push(value),
      end: (error: unknown) => void ends.push(error),
    };
    return new Reply(source, taker, { clock, gapMs: 1000, relief: () => relief });
  }

  beforeEach(() => {
    clock = new FakeClock();
    taken = [];
    ends = [];
    relief = undefined;
    left = false;
  });

  it('tells what comes, and its end once', async () => {
    const reply = open();
    await feed({ value: 1 });
    await feed({ value: 2 });
    await feed({ done: true });
    await reply.settled;
    reply.abort();
    expect([taken, ends, clock.pending]).toEqual([[1, 2], [undefined], 0]);
  });

  it('tells what it broke off with', async () => {
    const reply = open();
    const error = new Error('gone');
    await feed({ error });
    await reply.settled;
    expect([ends, clock.pending]).toEqual([[error], 0]);
  });

  it('tells nothing after an abort, and leaves its source', async () => {
    const reply = open();
    await feed({ value: 1 });
    reply.abort();
    await reply.settled;
    expect([taken, ends, left, clock.pending]).toEqual([[1], [], true, 0]);
  });

  it('fails when nothing comes for too long', async () => {
    const reply = open();
    clock.advance(900);
    await feed({ value: 1 });
    clock.advance(999);
    expect(ends).toEqual([]);
    clock.advance(1);
    await reply.settled;
    expect(ends).toMatchObject([{ code: 'llm_failed' }]);
    expect([left, clock.pending]).toEqual([true, 0]);
  });

  it('reads no further while its client has enough, for however long', async () => {
    const reply = open();
    let release: () => void = () => undefined;
    relief = new Promise((resolve) => {
      release = resolve;
    });
    await feed({ value: 1 });
    clock.advance(60_000);
    await feed({ value: 2 });
    expect([taken, ends]).toEqual([[1], []]);
    relief = undefined;
    release();
    await turn();
    await feed({ value: 3 });
    expect(taken).toEqual([1, 3]);
    reply.abort();
    await reply.settled;
  });

  it('is left while it is held, too', async () => {
    const reply = open();
    relief = new Promise(() => undefined);
    await feed({ value: 1 });
    reply.abort();
    await reply.settled;
    expect([left, clock.pending]).toEqual([true, 0]);
  });
});
