import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { Redis } from 'ioredis';
import type { Lease, LeaseRequest, Placement, TicketState, Waiting } from './lease.ts';
import { RedisUnavailable } from './redis.ts';
import { WaitingLine, type WaitOptions } from './waiting-line.ts';

const SECOND = 1_000;
const away = (): Error => new RedisUnavailable(new Error('gone'));
const place = (position: number, estimateMs?: number): Waiting => ({
  kind: 'waiting',
  position,
  estimateMs,
});
const full: Placement = { kind: 'refused', reason: 'full', retryAfterMs: 5 };
const lease = (token: string): Lease => ({
  token,
  workerId: 'w',
  address: 'ws://w',
  model: 'm',
  epoch: 7,
});

/** Answers what the test says; a thrown answer is a fault. Remembers what it was asked, in order. */
class FakeStore {
  readonly grantsChannel = 'grants';
  readonly calls: string[] = [];
  entered: () => Promise<Placement | Waiting> = async () => place(3, 900);
  acquired: () => Promise<Placement> = async () => full;
  polled: (token: string) => TicketState = () => place(3);

  async acquire({ token }: LeaseRequest): Promise<Placement> {
    this.calls.push(`acquire ${token}`);
    return this.acquired();
  }

  async enter({ token }: LeaseRequest, { waitedMs }: { waitedMs?: number } = {}) {
    this.calls.push(`enter ${token}${waitedMs === undefined ? '' : ` after ${waitedMs}`}`);
    return this.entered();
  }

  async poll(tokens: readonly string[]): Promise<TicketState[]> {
    if (tokens.length > 0) this.calls.push(`poll ${tokens.join()}`);
    return tokens.map((token) => this.polled(token));
  }

  async abandon(token: string): Promise<boolean> {
    this.calls.push(`abandon ${token}`);
    return true;
  }
}

class FakeSubscriber extends EventEmitter {
  status = 'ready';
  readonly channels: string[] = [];
  pings = 0;
  failing = false;

  async subscribe(channel: string): Promise<void> {
    if (this.failing) throw new Error('Connection is closed.');
    this.channels.push(channel);
  }

  async unsubscribe(channel: string): Promise<void> {
    this.channels.splice(this.channels.indexOf(channel), 1);
  }

  async ping(): Promise<void> {
    this.pings += 1;
  }
}

describe('WaitingLine', () => {
  let clock: FakeClock;
  let store: FakeStore;
  let subscriber: FakeSubscriber;
  let line: WaitingLine;
  let errors: unknown[];
  let places: string[];

  const acquire = (token: string, over: Partial<WaitOptions & LeaseRequest> = {}) => {
    const { signal = new AbortController().signal, waitMs = 60 * SECOND, ...rest } = over;
    const claim = { maxSessions: 0, sessionsPerSecond: 0, weight: 1, priority: 'normal' } as const;
    return line.acquire(
      { token, sessionId: 's', tenant: { id: 't', ...claim }, ...rest },
      {
        signal,
        waitMs,
        onPosition: (position, estimateMs) => places.push(`${position} in ${estimateMs}`),
        ...rest,
      },
    );
  };
  const tick = async (byMs = SECOND): Promise<void> => {
    clock.advance(byMs);
    await turn();
  };
  const message = (token: string): void =>
    void subscriber.emit('message', 'grants', JSON.stringify([token, 'w', 'ws://w', 'm', 7]));

  beforeEach(async () => {
    clock = new FakeClock();
    store = new FakeStore();
    subscriber = new FakeSubscriber();
    errors = [];
    places = [];
    line = new WaitingLine({
      store,
      subscriber: subscriber as unknown as Redis,
      clock,
      onError: (error) => errors.push(error),
    });
    line.start();
    await turn();
  });
  afterEach(() => line.stop());

  it('does not wait where there is a slot, or a refusal', async () => {
    store.entered = async () => ({ kind: 'granted', lease: lease('a') });
    expect(await acquire('a')).toEqual({ kind: 'granted', lease: lease('a') });
    store.entered = async () => full;
    expect(await acquire('b')).toEqual(full);
    expect([line.waiting, clock.pending]).toEqual([0, 1]);
  });

  it('polls all tickets in one call each second, and nothing while nobody waits', async () => {
    await tick();
    const waits = [acquire('a'), acquire('b')];
    await turn();
    await tick();
    await tick();
    expect(store.calls).toEqual(['enter a', 'enter b', 'poll a,b', 'poll a,b']);
    expect(line.waiting).toBe(2);
    store.polled = (token) => ({ kind: 'granted', lease: lease(token) });
    await tick();
    expect(await Promise.all(waits)).toMatchObject([{ kind: 'granted' }, { kind: 'granted' }]);
  });

  it('believes a grant that comes before the reply that says "wait"', async () => {
    let reply: (answer: Waiting) => void = () => undefined;
    store.entered = () => new Promise((resolve) => (reply = resolve));
    const wait = acquire('a');
    message('a');
    expect(await wait).toEqual({ kind: 'granted', lease: lease('a') });
    reply(place(1));
    await turn();
    expect([places, line.waiting]).toEqual([[], 0]);
  });

  it('passes over grants of other gateways, and reports a message that is none', async () => {
    void acquire('a').catch(() => undefined);
    message('other');
    subscriber.emit('message', 'grants', '{}');
    await turn();
    expect([errors.length, line.waiting]).toEqual([1, 1]);
  });

  it('tells a place on entering, then when it changes, at most once in a second', async () => {
    clock.advance(600);
    void acquire('a').catch(() => undefined);
    await turn();
    store.polled = () => place(2, 500);
    await tick(400);
    expect(places).toEqual(['3 in 900']);
    await tick();
    await tick();
    expect(places).toEqual(['3 in 900', '2 in 500']);
    store.polled = () => place(1);
    await tick();
    expect(places.slice(2)).toEqual(['1 in undefined']);
  });

  it('enters a ticket anew that Redis has lost, with the time it has waited', async () => {
    const wait = acquire('a');
    await turn();
    await tick();
    store.polled = () => ({ kind: 'gone' });
    await tick();
    expect(store.calls.slice(2)).toEqual(['poll a', 'enter a after 2000']);
    store.polled = () => place(3);
    await tick();
    expect(store.calls.slice(4)).toEqual(['poll a']);
    store.polled = () => ({ kind: 'gone' });
    store.entered = async () => ({ kind: 'refused', reason: 'line_full' });
    await tick();
    expect(await wait).toMatchObject({ reason: 'line_full' });
  });

  it('waits on while Redis is away, and enters anew only what is gone', async () => {
    const wait = acquire('a', { waitMs: 4_500 });
    await turn();
    await tick();
    store.polled = () => {
      throw away();
    };
    store.entered = () => Promise.reject(away());
    store.acquired = () => Promise.reject(away());
    await tick();
    await tick();
    expect([errors, store.calls.slice(1)]).toEqual([[], Array(3).fill('poll a')]);
    await Promise.all([expect(wait).rejects.toBeInstanceOf(RedisUnavailable), tick(), tick()]);
    expect(clock.pending).toBe(1);
  });

  it('refuses a newcomer at once while Redis is away, and lets one that moves wait', async () => {
    store.entered = () => Promise.reject(away());
    await expect(acquire('new')).rejects.toBeInstanceOf(RedisUnavailable);
    const moves = [acquire('a', { replaces: 'old' }), acquire('b', { resumes: true })];
    await tick();
    expect(line.waiting).toBe(0);
    store.entered = async () => ({ kind: 'granted', lease: lease('x') });
    await tick();
    expect(await Promise.all(moves)).toMatchObject([{ kind: 'granted' }, { kind: 'granted' }]);
  });

  it('gives up on a fault of ours, at once', async () => {
    store.entered = () => Promise.reject(new Error('bug'));
    await expect(acquire('a', { replaces: 'old' })).rejects.toThrow('bug');
  });

  it('asks a last time when the wait is over, behind a call on its way, and never enters again', async () => {
    let reply: (answer: Waiting) => void = () => undefined;
    store.entered = () => new Promise((resolve) => (reply = resolve));
    const wait = acquire('a', { waitMs: 1_500 });
    await tick(1_500);
    expect(store.calls).toEqual(['enter a']);
    let last: (answer: Placement) => void = () => undefined;
    store.acquired = () => new Promise((resolve) => (last = resolve));
    store.polled = () => ({ kind: 'gone' });
    reply(place(3));
    await turn();
    await tick(2_500);
    expect(store.calls).toEqual(['enter a', 'acquire a']);
    last(full);
    expect(await wait).toEqual(full);
  });

  it('asks once, without a ticket, when it may not wait', async () => {
    expect(await acquire('a', { waitMs: 0 })).toEqual(full);
    store.acquired = () => Promise.reject(away());
    await expect(acquire('b', { waitMs: 0 })).rejects.toBeInstanceOf(RedisUnavailable);
    expect(store.calls.slice(0, 2)).toEqual(['acquire a', 'acquire b']);
  });

  it('leaves the line on abort, after the call on its way', async () => {
    let reply: (answer: Placement) => void = () => undefined;
    store.entered = () => new Promise((resolve) => (reply = resolve));
    const controller = new AbortController();
    const wait = acquire('a', { signal: controller.signal });
    controller.abort(new Error('client left'));
    await expect(wait).rejects.toThrow('client left');
    await turn();
    expect(store.calls).toEqual(['enter a']);
    reply({ kind: 'granted', lease: lease('a') });
    await turn();
    expect(store.calls).toEqual(['enter a', 'abandon a']);
    await expect(acquire('b', { signal: controller.signal })).rejects.toThrow('client left');
    expect(store.calls).toHaveLength(2);
  });

  it('does not stumble over a listener that throws', async () => {
    const wait = acquire('a', {
      onPosition: () => {
        throw new Error('listener');
      },
    });
    await turn();
    message('a');
    expect(await wait).toMatchObject({ kind: 'granted' });
    expect(errors).toHaveLength(1);
  });

  it('listens again when its connection is back, and asks it for a sign of life', async () => {
    await tick();
    expect([subscriber.channels, subscriber.pings]).toEqual([['grants'], 1]);
    subscriber.failing = true;
    subscriber.emit('ready');
    await turn();
    subscriber.failing = false;
    await tick();
    expect([subscriber.channels, subscriber.pings]).toEqual([['grants', 'grants'], 1]);
    expect(errors).toEqual([]);
  });

  it('rejects who waits when it stops, gives the tickets back and leaves no timer', async () => {
    const wait = acquire('a');
    await turn();
    await Promise.all([expect(wait).rejects.toThrow('stopped'), line.stop()]);
    expect(store.calls).toEqual(['enter a', 'abandon a']);
    expect([clock.pending, subscriber.channels]).toEqual([0, []]);
    expect([subscriber.listenerCount('message'), subscriber.listenerCount('ready')]).toEqual([
      0, 0,
    ]);
  });
});
