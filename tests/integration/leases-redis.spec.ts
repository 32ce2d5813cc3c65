import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import { type Lease, type LeaseRequest, newLeaseToken } from '@voice-fleet/fleet/lease';
import { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { ServedLease, WorkerRecord, WorkerState } from '@voice-fleet/fleet/worker';
import { WorkerAgent } from '@voice-fleet/fleet/worker-agent';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';
import {
  auditedUse,
  connect,
  connections,
  fleet,
  LONG_MS,
  outcome,
  ready,
  registerAll,
  registryOf,
  request,
  SHORT_MS,
  servedBy,
  server,
  storeOf,
  take,
  takeMany,
  tenant,
  until,
  worker,
} from '../support/pool.ts';
import { stopwatch } from '../support/stopwatch.ts';

describe('a Redis that comes back empty', () => {
  const emptyRedis = async (): Promise<void> => {
    await server.restart();
    await Promise.all(connections.map(ready));
  };

  it('learns the leases from the workers and admits nobody twice', async () => {
    await registerAll(worker('a', 4), worker('b', 4));
    const store = storeOf();
    const leases = await takeMany(store, 8);
    await emptyRedis();
    expect(await registryOf().beat(worker('a', 4))).toBe('unknown');
    expect(await outcome(store)).toBe('no_workers');
    expect(new Set(await store.renew(leases))).toEqual(new Set(['unknown']));
    await registryOf().register(worker('a', 4), servedBy(leases, 'a'));
    expect(await outcome(store)).toBe('full');
    const onA = leases.map(({ workerId }) => workerId === 'a');
    expect(await store.renew(leases)).toEqual(onA.map((yes) => (yes ? 'renewed' : 'unknown')));

    await registryOf().register(worker('b', 4), servedBy(leases, 'b'));
    expect(new Set(await store.renew(leases))).toEqual(new Set(['renewed']));
    expect(await outcome(store)).toBe('full');
    expect(await auditedUse()).toEqual({ a: 4, b: 4 });
  });

  it('calls a lease lost that its worker did not bring along', async () => {
    await registerAll(worker('a', 4));
    const lease = await take(storeOf());
    await emptyRedis();
    await registryOf().register(worker('a', 4), []);
    expect(await storeOf().renew([lease])).toEqual(['lost']);
  });

  it('never lets an epoch go back: neither that of the workers nor that of the session', async () => {
    await registerAll(worker('a', 8));
    const store = storeOf();
    const leases = await takeMany(store, 5);
    await emptyRedis();
    await registryOf().register(worker('a', 8), servedBy(leases, 'a'));
    expect((await take(store)).epoch).toBe(6);
    expect((await take(store, { minEpoch: 40 })).epoch).toBe(41);
    expect((await take(store, { minEpoch: 3 })).epoch).toBe(42);
  });

  it('is healed by the agents and keepers alone, and no session notices', async () => {
    const served: ServedLease[] = [];
    const faults: unknown[] = [];
    const onError = (error: unknown): void => void faults.push(error);
    const registry = registryOf({ beatTtlMs: 500, leaseTtlMs: 1_000 });
    const facts = { describe: () => worker('a', 4), leases: () => served };
    const agent = new WorkerAgent({ registry, clock, ...facts, onError, intervalMs: 50 });
    const store = storeOf({ ttlMs: 1_000 });
    const keeper = new LeaseKeeper({ store, clock, onError });
    agent.start();
    keeper.start();
    try {
      await until(async () => (await registry.capacity()).workers === 1);
      const lost: string[] = [];
      const leases = await takeMany(store, 4);
      served.push(...servedBy(leases, 'a'));
      for (const lease of leases) keeper.hold(lease, ({ token }) => lost.push(token));
      await emptyRedis();
      await until(async () => (await registry.capacity()).leased === 4);
      const laterMs = Date.now() + 1_300;
      await until(() => Date.now() > laterMs);
      expect(await outcome(store)).toBe('full');
      expect(lost).toEqual([]);
      expect(await auditedUse()).toEqual({ a: 4 });
    } finally {
      await keeper.stop();
      await agent.stop();
    }
    expect(faults).toEqual([]);
    expect(await auditedUse()).toEqual({});
  });
});

describe('an outage of Redis that keeps its data', () => {
  it('longer than all TTLs costs no lease whose worker still serves it', async () => {
    await registerAll(worker('a', 2));
    const store = storeOf({ ttlMs: SHORT_MS });
    const leases = await takeMany(store, 2);
    await registryOf({ beatTtlMs: SHORT_MS }).beat(worker('a', 2));
    await until(async () => {
      const { workers, leased } = await registryOf().capacity();
      return workers + leased === 0;
    });
    expect(await store.renew(leases)).toEqual(['unknown', 'unknown']);
    await registryOf().register(worker('a', 2), servedBy(leases, 'a'));
    expect(await storeOf().renew(leases)).toEqual(['renewed', 'renewed']);
    expect(await outcome(storeOf())).toBe('full');
    expect(await auditedUse()).toEqual({ a: 2 });
  });

  it('adopts nothing from a worker that was live all along: what ended was declared lost', async () => {
    await registerAll(worker('a', 2));
    const lease = await take(storeOf());
    await storeOf().release(lease);
    await registryOf().register(worker('a', 2), servedBy([lease], 'a'));
    expect(await auditedUse()).toEqual({});
  });
});

describe('without Redis', () => {
  const errors: Error[] = [];
  let own: TestRedis;
  let connection: Redis;

  beforeEach(async () => {
    errors.length = 0;
    own = await startRedis();
    connection = await connect(own.url, errors);
  });
  afterEach(async () => {
    connection.disconnect();
    await own.stop();
  });

  const failure = (store: LeaseStore): Promise<unknown> =>
    outcome(store).then(
      () => undefined,
      (error: unknown) => error,
    );

  it('fails at once, reports one error, and works again by itself', async () => {
    const store = storeOf({}, connection);
    const registry = new WorkerRegistry(connection, { fleet });
    await registry.register(worker('a', 1), []);
    await own.kill();
    await until(async () => (await failure(store)) instanceof RedisUnavailable);
    const took = stopwatch();
    expect(await failure(store)).toBeInstanceOf(RedisUnavailable);
    await expect(registry.capacity()).rejects.toBeInstanceOf(RedisUnavailable);
    expect(took()).toBeLessThan(300);
    await own.restart();
    await until(async () => (await failure(store)) === undefined);
    expect(await outcome(store)).toBe('no_workers');
    expect(errors).toHaveLength(1);
  });

  it('fails within the command timeout when Redis hangs, and works again when it does', async () => {
    const store = storeOf({}, connection);
    own.freeze();
    const took = stopwatch();
    expect(await failure(store)).toBeInstanceOf(RedisUnavailable);
    expect(took()).toBeLessThan(1_500);
    own.thaw();
    await until(async () => (await failure(store)) === undefined);
  });

  it('gives a grant that came after its gateway gave up back within the claim time', async () => {
    const claimTtlMs = 1_000;
    const store = storeOf({ claimTtlMs }, connection);
    const registry = new WorkerRegistry(connection, { fleet, beatTtlMs: LONG_MS });
    await registry.register(worker('a', 1), []);
    own.freeze();
    expect(await failure(store)).toBeInstanceOf(RedisUnavailable);
    own.thaw();
    await ready(connection);
    const took = stopwatch();
    expect((await registry.capacity()).free).toBe(0);
    await until(async () => (await outcome(store)) === 'a');
    expect(took()).toBeLessThan(claimTtlMs + 500);
  });
});

describe('the books', () => {
  const balance = async (seed: number): Promise<void> => {
    let drawn = seed;
    const random = (): number => {
      drawn = (drawn * 48_271) % 2_147_483_647;
      return drawn / 2_147_483_647;
    };
    const pick = <T>(...of: T[]): T => of[Math.floor(random() * of.length)] as T;
    const ttlMs = (): number => pick(5, LONG_MS, LONG_MS);
    const store = (): LeaseStore =>
      storeOf({
        ttlMs: ttlMs(),
        ticketTtlMs: ttlMs(),
        policy: pick('packing', 'spread', 'ordinal'),
        weights: pick(new Map(), new Map([['odd', 3]]), new Map([['odd', 0]])),
        maxLeases: pick(0, 0, 6),
      });
    const registry = (): WorkerRegistry => registryOf({ beatTtlMs: ttlMs() });
    const state = (): WorkerState => pick('ready', 'ready', 'ready', 'draining');
    const record = (): WorkerRecord => {
      const one = worker(pick('a', 'b', 'c'), 3, state());
      if (one.workerId === 'a') return { ...one, pool: 'odd', ordinal: 2 };
      return one.workerId === 'c' ? { ...one, model: 'other', pool: 'odd' } : one;
    };
    const leases: Lease[] = [];
    const tickets: string[] = [];
    const want = (): Partial<LeaseRequest> => ({
      exclude: pick([], [], ['a']),
      model: pick(undefined, undefined, 'voxtral', 'other'),
      tenant: tenant(pick('t', 'u'), {
        maxSessions: pick(0, 5),
        weight: pick(1, 4),
        priority: pick('normal', 'low'),
      }),
      ...pick(
        {},
        {},
        { resumes: true },
        { replaces: pick(leases, leases).at(-1)?.token ?? 'gone' },
      ),
    });
    const operations: (() => Promise<unknown>)[] = [
      () => registry().beat(record()),
      () => registry().deregister(record().workerId),
      () => store().renew(leases.slice(-5)),
      () => store().release(leases.at(-pick(1, 2, 3)) ?? { token: 'none', epoch: 1 }),
      async () => {
        const one = record();
        await registry().register(one, servedBy(leases.slice(-3), one.workerId));
      },
      () => store().poll(tickets.slice(-6)),
      () => store().abandon(tickets.at(-pick(1, 2, 5)) ?? 'none'),
      async () => {
        const one = request({ ...want(), token: pick(newLeaseToken(), tickets.at(-1) ?? 'first') });
        await store().enter(one);
        tickets.push(one.token);
      },
      async () => {
        const wanted = request(want());
        const placement = await store().acquire(wanted);
        if (placement.kind === 'refused') return;
        expect(placement.lease.model).toBe(wanted.model ?? placement.lease.model);
        expect(placement.lease.epoch).toBeGreaterThan(leases.at(-1)?.epoch ?? 0);
        expect((await auditedUse())[placement.lease.workerId]).toBeLessThanOrEqual(3);
        leases.push(placement.lease);
      },
    ];
    // Leases of 5 ms run out by real time, so how many are granted in so many steps is not quite the seed's choice.
    for (let step = 0; step < 500 || leases.length < 10 || tickets.length < 10; step++) {
      await pick(...operations)();
      await auditedUse();
    }
  };
  it.each([1, 2, 3])('balance after each of many random operations (seed %i)', balance);
});

describe('a cluster', () => {
  it('takes all scripts, for the keys of a fleet share a slot and are all declared', async () => {
    const own = await startRedis({ 'cluster-enabled': 'yes' });
    const node = await connect(own.url);
    try {
      await node.cluster('ADDSLOTSRANGE', 0, 16_383);
      await until(async () => String(await node.cluster('INFO')).includes('cluster_state:ok'));
      const keys = Object.values(fleetKeys(fleet));
      const slots = await Promise.all(keys.map((key) => node.cluster('KEYSLOT', key)));
      expect(new Set(slots).size).toBe(1);
      const registry = new WorkerRegistry(node, { fleet });
      const store = storeOf({}, node);
      await registry.register(worker('a', 1), []);
      const lease = await take(store);
      expect(await store.renew([lease])).toEqual(['renewed']);
      expect(await store.verify(lease.token, 'a', lease.epoch, 's', 't')).toBe('valid');
      const ticket = request();
      expect(await store.enter(ticket)).toMatchObject({ position: 1 });
      expect(await store.release(lease)).toBe(true);
      expect(await store.poll([ticket.token])).toMatchObject([{ kind: 'granted' }]);
      expect(await store.abandon(ticket.token)).toBe(true);
      expect((await registry.capacity()).free).toBe(1);
      await registry.deregister('a');
    } finally {
      node.disconnect();
      await own.stop();
    }
  });
});
