import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { Lease, Renewal } from './lease.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { RedisUnavailable } from './redis.ts';

const TTL_MS = 9_000;
const CLAIM_TTL_MS = 1_200;
const TICK_MS = CLAIM_TTL_MS / 4;

function lease(token: string): Lease {
  return { token, workerId: 'w', address: 'ws://w', model: 'm', epoch: 1 };
}

/** Answers what the test says; `away` stands for a Redis that cannot be asked. */
class FakeStore {
  readonly ttlMs = TTL_MS;
  readonly claimTtlMs = CLAIM_TTL_MS;
  readonly asked: string[][] = [];
  readonly released: string[] = [];
  answer: Renewal | 'away' | 'broken' = 'renewed';
  beforeAnswer: () => void = () => undefined;

  async renew(leases: readonly Lease[]): Promise<Renewal[]> {
    this.asked.push(leases.map(({ token }) => token));
    this.beforeAnswer();
    const { answer } = this;
    if (answer === 'away') throw new RedisUnavailable(new Error('gone'));
    if (answer === 'broken') throw new Error('bug');
    return leases.map(() => answer);
  }

  async release({ token }: Pick<Lease, 'token' | 'epoch'>): Promise<boolean> {
    if (this.answer === 'away') throw new RedisUnavailable(new Error('gone'));
    this.released.push(token);
    return true;
  }
}

describe('LeaseKeeper', () => {
  const errors: unknown[] = [];
  const lost: string[] = [];
  let clock: FakeClock;
  let store: FakeStore;
  let keeper: LeaseKeeper;

  const onLost = ({ token }: Lease): void => void lost.push(token);
  const pass = async (byMs: number): Promise<void> => {
    clock.advance(byMs);
    await turn();
  };

  beforeEach(() => {
    errors.length = 0;
    lost.length = 0;
    clock = new FakeClock();
    store = new FakeStore();
    keeper = new LeaseKeeper({ store, clock, onError: (error) => errors.push(error) });
    keeper.start();
  });
  afterEach(() => keeper.stop());

  it('renews everything it holds in one call, every third of the TTL', async () => {
    keeper.hold(lease('a'), onLost);
    keeper.hold(lease('b'), onLost);
    await pass(TICK_MS);
    await pass(TTL_MS / 3);
    await pass(TTL_MS / 3);
    expect(store.asked).toEqual(Array(3).fill(['a', 'b']));
  });

  it('renews a new lease well within the short time of its grant, and the others when they are due', async () => {
    keeper.hold(lease('a'), onLost);
    await pass(TICK_MS);
    keeper.hold(lease('b'), onLost);
    await pass(TICK_MS - 1);
    expect(store.asked).toEqual([['a']]);
    await pass(1);
    expect(store.asked).toEqual([['a'], ['b']]);
    await pass(TTL_MS / 3 - TICK_MS);
    expect(store.asked.slice(2)).toEqual([['a']]);
    await pass(TICK_MS);
    expect(store.asked.slice(3)).toEqual([['b']]);
  });

  it('asks nothing while nothing is held', async () => {
    await pass(2 * TTL_MS);
    expect(store.asked).toEqual([]);
  });

  it('reports a lost lease once and renews it no more', async () => {
    keeper.hold(lease('a'), onLost);
    store.answer = 'lost';
    await pass(TTL_MS / 3);
    await pass(TTL_MS / 3);
    expect(lost).toEqual(['a']);
    expect(store.asked).toEqual([['a']]);
  });

  it('keeps an unknown lease and asks again', async () => {
    keeper.hold(lease('a'), onLost);
    store.answer = 'unknown';
    await pass(TTL_MS / 3);
    await pass(TTL_MS / 3);
    expect(lost).toEqual([]);
    expect(store.asked).toHaveLength(2);
  });

  it('keeps all leases while Redis is away and asks again soon', async () => {
    keeper.hold(lease('a'), onLost);
    await pass(TICK_MS);
    store.answer = 'away';
    await pass(TTL_MS / 3);
    await pass(TICK_MS);
    await pass(TICK_MS);
    expect(store.asked).toHaveLength(4);
    expect(lost).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('says nothing of a lease that was released while the answer was on its way', async () => {
    keeper.hold(lease('a'), onLost);
    store.answer = 'lost';
    store.beforeAnswer = () => void keeper.release(lease('a'));
    await pass(TTL_MS / 3);
    expect(lost).toEqual([]);
  });

  it('renews a lease no more that another one has replaced, and neither releases it nor calls it lost', async () => {
    keeper.hold(lease('a'), onLost);
    await pass(TICK_MS);
    store.answer = 'lost';
    keeper.drop(lease('a'));
    await pass(TTL_MS);
    await keeper.stop();
    expect([store.asked, store.released, lost]).toEqual([[['a']], [], []]);
  });

  it('goes on after a listener that throws', async () => {
    keeper.hold(lease('a'), () => {
      throw new Error('listener');
    });
    keeper.hold(lease('b'), onLost);
    store.answer = 'lost';
    await pass(TTL_MS / 3);
    expect(lost).toEqual(['b']);
    expect(errors).toHaveLength(1);
  });

  it('reports a fault that is not Redis being away, and goes on', async () => {
    keeper.hold(lease('a'), onLost);
    store.answer = 'broken';
    await pass(TICK_MS);
    store.answer = 'renewed';
    await pass(TICK_MS);
    expect(errors).toHaveLength(1);
    expect(store.asked.at(-1)).toEqual(['a']);
  });

  it('gives back what it holds when it stops, and leaves no timer', async () => {
    keeper.hold(lease('a'), onLost);
    await keeper.stop();
    expect(store.released).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });

  it('stops quietly while Redis is away', async () => {
    keeper.hold(lease('a'), onLost);
    store.answer = 'away';
    await keeper.stop();
    expect([errors, clock.pending]).toEqual([[], 0]);
  });
});
