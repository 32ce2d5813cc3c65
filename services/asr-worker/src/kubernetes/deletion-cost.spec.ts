import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { DELETION_COST, DeletionCost } from './deletion-cost.ts';

const INTERVAL_MS = 30_000;

describe('what the loss of a pod would cost', () => {
  let clock: FakeClock;
  let sessions: number;
  let draining: boolean;
  let told: string[];
  let answer: (signal: AbortSignal) => Promise<void>;
  let outcomes: string[];
  let errors: unknown[];
  let cost: DeletionCost;

  beforeEach(() => {
    clock = new FakeClock();
    sessions = 0;
    draining = false;
    told = [];
    outcomes = [];
    errors = [];
    answer = () => Promise.resolve();
    cost = new DeletionCost({
      clock,
      intervalMs: INTERVAL_MS,
      sessions: () => sessions,
      draining: () => draining,
      annotate: (annotations, signal) => {
        told.push(annotations[DELETION_COST] ?? 'nothing');
        return answer(signal);
      },
      onOutcome: (outcome) => outcomes.push(outcome),
      onError: (error) => errors.push(error),
    });
  });

  /** Lets an interval pass, and what it began come to its end. */
  async function interval(): Promise<void> {
    clock.advance(INTERVAL_MS);
    await cost.tell();
  }

  it('is told at the start, and then only when it has changed', async () => {
    cost.start();
    await cost.tell();
    for (let each = 0; each < 5; each += 1) await interval();
    expect(told).toEqual(['0']);
    sessions = 1;
    await interval();
    expect(told).toEqual(['0', '1']);
  });

  it('is told once in an interval, however often sessions come and go', async () => {
    cost.start();
    await cost.tell();
    for (let each = 1; each <= 20; each += 1) {
      sessions = each;
      clock.advance(INTERVAL_MS / 20 - 1);
    }
    expect(told).toEqual(['0']);
    await interval();
    expect(told).toEqual(['0', '32']);
  });

  it('does not follow numbers that mean the same', async () => {
    cost.start();
    for (const count of [17, 30, 32, 25, 18]) {
      sessions = count;
      await interval();
    }
    expect(told).toEqual(['0', '32']);
  });

  it('is less than that of an idle pod while it drains, without waiting for the interval', async () => {
    sessions = 12;
    cost.start();
    await cost.tell();
    draining = true;
    await cost.tell();
    expect(told).toEqual(['16', '-1']);
  });

  it('is tried again in the next interval when it could not be told, and the fault is told once', async () => {
    answer = () => Promise.reject(new Error('no'));
    cost.start();
    await cost.tell();
    await interval();
    answer = () => Promise.resolve();
    await interval();
    await interval();
    expect(told).toEqual(['0', '0', '0']);
    expect(outcomes).toEqual(['failed', 'failed', 'told']);
    expect(errors).toEqual([new Error('no')]);
  });

  it('is given up after five seconds without an answer', async () => {
    answer = (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    cost.start();
    const asked = cost.tell();
    clock.advance(4_999);
    expect(outcomes).toEqual([]);
    clock.advance(1);
    await asked;
    expect(outcomes).toEqual(['failed']);
    expect(errors).toEqual([new Error('no answer in time')]);
  });

  it('is not told twice at a time', async () => {
    let settle = (): void => undefined;
    answer = () =>
      new Promise((resolve) => {
        settle = resolve;
      });
    cost.start();
    sessions = 3;
    const both = Promise.all([cost.tell(), cost.tell()]);
    settle();
    await both;
    expect(told).toEqual(['0']);
  });

  it('leaves no timer behind, and no fault of what it gave up', async () => {
    answer = (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    cost.start();
    const asked = cost.tell();
    cost.stop();
    await asked;
    await cost.tell();
    expect(clock.pending).toBe(0);
    expect([told, outcomes, errors]).toEqual([['0'], [], []]);
  });
});
