import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type { Lease, LeaseRequest, Placement } from '@voice-fleet/fleet/lease';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { WaitingLine, type WaitOptions } from '@voice-fleet/fleet/waiting-line';
import type { ServedLease } from '@voice-fleet/fleet/worker';
import { WorkerAgent } from '@voice-fleet/fleet/worker-agent';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';
import {
  atOnce,
  auditedUse,
  connect,
  connections,
  expectNoSlotIdle,
  fleet,
  granted,
  LONG_MS,
  ready,
  redis,
  registerAll,
  registryOf,
  request,
  server,
  storeOf,
  take,
  takeMany,
  until,
  worker,
} from '../support/pool.ts';

const errors: unknown[] = [];
const owned: { line: WaitingLine; subscriber: Redis }[] = [];

/** `of` is a connection to the Redis at `url`. */
async function openLine(
  store: LeaseStore,
  clock: Clock,
  url = server.url,
  of = redis,
): Promise<WaitingLine> {
  const before = await listeners(of);
  const subscriber = await connect(url);
  const onError = (error: unknown): void => void errors.push(error);
  const line = new WaitingLine({ store, subscriber, clock, onError });
  owned.push({ line, subscriber });
  line.start();
  await until(async () => (await listeners(of)) > before);
  return line;
}

async function listeners(of: Redis): Promise<number> {
  const [, count] = (await of.call('PUBSUB', 'NUMSUB', fleetKeys(fleet).grants)) as [
    string,
    number,
  ];
  return count;
}

async function closeLines(): Promise<void> {
  for (const { line, subscriber } of owned.splice(0)) {
    await line.stop();
    subscriber.disconnect();
  }
}

const patient = (over: Partial<WaitOptions> = {}): WaitOptions => ({
  signal: new AbortController().signal,
  waitMs: LONG_MS,
  ...over,
});

const waitingIn = async (count: number): Promise<void> =>
  until(async () => (await registryOf().capacity()).waiting === count);

beforeEach(() => {
  errors.length = 0;
});
afterEach(async () => {
  await closeLines();
  expect(errors).toEqual([]);
});

describe('WaitingLine', () => {
  it('hears of a grant at once, without a poll', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store);
    const clock = new FakeClock();
    const line = await openLine(store, clock);
    const places: number[] = [];
    const wait = line.acquire(request(), patient({ onPosition: (place) => places.push(place) }));
    await waitingIn(1);
    await until(() => line.waiting === 1);
    await store.release(lease);
    expect(granted(await wait).workerId).toBe('a');
    expect([places, line.waiting, clock.pending]).toEqual([[1], 0, 1]);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('finds by its poll what a lost message did not tell', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store);
    const clock = new FakeClock();
    const line = await openLine(store, clock);
    const wait = line.acquire(request(), patient());
    await waitingIn(1);
    owned[0]?.subscriber.disconnect();
    await store.release(lease);
    await until(() => line.waiting === 1);
    clock.advance(1_000);
    expect(granted(await wait).epoch).toBe(2);
  });

  it('listens again after its connection was lost', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store);
    const line = await openLine(store, new FakeClock());
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect(await listeners(redis)).toBe(0);
    await until(async () => (await listeners(redis)) === 1);
    const wait = line.acquire(request(), patient());
    await waitingIn(1);
    await store.release(lease);
    expect(granted(await wait).epoch).toBe(2);
  });

  it('asks a last time when the wait is over, and leaves the line', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    await take(store);
    const clock = new FakeClock();
    const line = await openLine(store, clock);
    const wait = line.acquire(request(), patient({ waitMs: 900 }));
    await waitingIn(1);
    await until(() => line.waiting === 1);
    clock.advance(900);
    expect(await wait).toMatchObject({ kind: 'refused', reason: 'full' });
    expect(await line.acquire(request(), patient({ waitMs: 0 }))).toMatchObject({ reason: 'full' });
    expect((await registryOf().capacity()).waiting).toBe(0);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('leaks no slot and no ticket when grants and aborts race', async () => {
    await registerAll(worker('a', 2));
    const stores = connections.map((connection) => storeOf({}, connection));
    const lines = await Promise.all(stores.slice(1).map((store) => openLine(store, systemClock)));
    const holders = await takeMany(storeOf(), 2);
    const controllers = Array.from({ length: 60 }, () => new AbortController());
    const leases: Lease[] = [];
    const waits = controllers.map(async ({ signal }, index) => {
      const line = lines[index % 2] as WaitingLine;
      const placement = await line.acquire(request(), patient({ signal })).catch(() => undefined);
      if (placement?.kind !== 'granted') return;
      leases.push(placement.lease);
      if (index % 3 > 0) await storeOf().release(placement.lease);
    });
    await waitingIn(60);
    const releases = holders.map((lease) => storeOf().release(lease));
    for (const controller of controllers) {
      if (leases.length % 2 === 0) await redis.ping();
      controller.abort(new Error('client left'));
    }
    await Promise.all([...releases, ...waits]);
    await Promise.all(lines.map((line) => line.stop()));
    for (const lease of leases) await storeOf().release(lease);
    expect(await auditedUse()).toEqual({});
    expect(await registryOf().capacity()).toMatchObject({ leased: 0, waiting: 0, free: 2 });
  });

  it('gives back what it was granted after it was aborted, also by a plain acquire', async () => {
    await registerAll(worker('a', 4));
    const line = await openLine(storeOf(), new FakeClock());
    const waits = [0, LONG_MS].map(async (waitMs) => {
      const controller = new AbortController();
      const wait = line.acquire(request(), patient({ waitMs, signal: controller.signal }));
      controller.abort(new Error('client left'));
      await expect(wait).rejects.toThrow('client left');
      await expect(
        line.acquire(request(), patient({ signal: controller.signal })),
      ).rejects.toThrow();
    });
    await Promise.all(waits);
    await line.stop();
    expect(await auditedUse()).toEqual({});
  });
});

describe('a waiting line without Redis', () => {
  let own: TestRedis;
  let connection: Redis;

  beforeEach(async () => {
    own = await startRedis();
    connection = await connect(own.url);
  });
  afterEach(async () => {
    await closeLines();
    connection.disconnect();
    await own.stop();
  });

  it('refuses newcomers at once, and keeps those in line and those that move until their time is over', async () => {
    const store = new LeaseStore(connection, { fleet });
    const clock = new FakeClock();
    const line = await openLine(store, clock, own.url, connection);
    const ends: string[] = [];
    const wait = (name: string, over: Partial<LeaseRequest>): Promise<unknown> =>
      line.acquire(request(over), patient({ waitMs: 5_000 })).then(
        ({ kind }) => ends.push(`${name} ${kind}`),
        (error) => ends.push(`${name} ${(error as Error).name}`),
      );
    const inLine = wait('in line', {});
    await until(() => line.waiting === 1);
    await own.kill();
    await until(() => connection.status !== 'ready');
    const moves = wait('moves', { replaces: 'old' });
    await wait('newcomer', {});
    for (let second = 0; second < 4; second += 1) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ends).toEqual(['newcomer RedisUnavailable']);
    clock.advance(1_000);
    await Promise.all([inLine, moves]);
    expect(ends.slice(1).sort()).toEqual(['in line RedisUnavailable', 'moves RedisUnavailable']);
  });

  it('is there again after Redis came back empty, with the leases of the workers, and goes on', async () => {
    const short = { ttlMs: 2_000, claimTtlMs: 2_000 };
    const store = new LeaseStore(connection, { fleet, ...short });
    const registry = new WorkerRegistry(connection, { fleet, leaseTtlMs: 2_000 });
    const served: ServedLease[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    const facts = { describe: () => worker('a', 3), leases: () => served };
    const agent = new WorkerAgent({
      registry,
      clock: systemClock,
      ...facts,
      onError,
      intervalMs: 50,
    });
    agent.start();
    const line = await openLine(store, systemClock, own.url, connection);
    try {
      await until(async () => (await registry.capacity()).workers === 1);
      const leases = await atOnce(3, () => take(store));
      served.push(
        ...leases.map(({ token, epoch }) => ({ token, epoch, sessionId: 's', tenantId: 't' })),
      );
      const got: string[] = [];
      const waits = ['one', 'two', 'three'].map(async (name) => {
        await until(() => line.waiting >= ['one', 'two', 'three'].indexOf(name));
        const placement: Placement = await line.acquire(request(), patient());
        got.push(`${name} ${granted(placement).workerId}`);
        return granted(placement);
      });
      await until(() => line.waiting === 3);
      await own.restart();
      await ready(connection);
      await until(async () => {
        const { leased, waiting } = await registry.capacity();
        return leased === 3 && waiting === 3;
      });
      expect(got).toEqual([]);
      for (const lease of leases) {
        served.shift();
        expect(await store.release(lease)).toBe(true);
        await until(() => got.length === 3 - served.length);
      }
      expect(got.map((one) => one.split(' ')[1])).toEqual(['a', 'a', 'a']);
      const after = await Promise.all(waits);
      expect(after.every(({ epoch }) => epoch > 3)).toBe(true);
      expect(await registry.capacity()).toMatchObject({ leased: 3, waiting: 0, free: 0 });
      await expectNoSlotIdle();
    } finally {
      await agent.stop();
    }
  });
});
