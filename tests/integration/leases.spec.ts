import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { poolKeys } from '@voice-fleet/fleet/keys';
import type { Lease, LeaseRequest, Placement } from '@voice-fleet/fleet/lease';
import { newLeaseToken } from '@voice-fleet/fleet/lease';
import { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import { LeaseStore, type LeaseStoreOptions } from '@voice-fleet/fleet/lease-store';
import { connectRedis, RedisUnavailable, untilReady } from '@voice-fleet/fleet/redis';
import type { ServedLease, WorkerRecord, WorkerState } from '@voice-fleet/fleet/worker';
import { WorkerAgent } from '@voice-fleet/fleet/worker-agent';
import { WorkerRegistry, type WorkerRegistryOptions } from '@voice-fleet/fleet/worker-registry';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

const PATIENCE_MS = 4_500;
/** For what must run out during a test, and for what must not. */
const SHORT_MS = 40;
const LONG_MS = 60_000;

let server: TestRedis;
let connections: Redis[];
let redis: Redis;
let pool: string;

const ready = (one: Redis): Promise<void> => untilReady(one, AbortSignal.timeout(PATIENCE_MS));

async function connect(url: string, errors: Error[] = []): Promise<Redis> {
  const onError = (error: Error): void => void errors.push(error);
  const connection = connectRedis(url, { onError, commandTimeoutMs: 500 });
  await ready(connection);
  return connection;
}

beforeAll(async () => {
  server = await startRedis();
  connections = await Promise.all([connect(server.url), connect(server.url), connect(server.url)]);
  redis = connections[0] as Redis;
});
afterAll(async () => {
  for (const connection of connections) connection.disconnect();
  await server.stop();
});
beforeEach(async () => {
  pool = newLeaseToken();
  await Promise.all(connections.map(ready));
});

/** Asks until the answer is yes: for what only real time can bring about. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('condition not met in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function storeOf(options: Partial<LeaseStoreOptions> = {}, connection = redis): LeaseStore {
  return new LeaseStore(connection, { pool, ttlMs: LONG_MS, claimTtlMs: LONG_MS, ...options });
}

function registryOf(options: Partial<WorkerRegistryOptions> = {}): WorkerRegistry {
  return new WorkerRegistry(redis, { pool, beatTtlMs: LONG_MS, leaseTtlMs: LONG_MS, ...options });
}

function worker(workerId: string, slots: number, state: WorkerState = 'ready'): WorkerRecord {
  return { workerId, address: `ws://${workerId}`, model: 'voxtral', engine: 'fake', slots, state };
}

/** `count` calls in flight together. */
const atOnce = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)));

async function registerAll(...workers: WorkerRecord[]): Promise<void> {
  for (const one of workers) await registryOf().register(one, []);
}

function request(over: Partial<LeaseRequest> = {}): LeaseRequest {
  return { token: newLeaseToken(), sessionId: 's', ...over };
}

function granted(placement: Placement): Lease {
  if (placement.kind === 'refused') throw new Error(`refused: ${placement.reason}`);
  return placement.lease;
}

async function take(store: LeaseStore, over: Partial<LeaseRequest> = {}): Promise<Lease> {
  return granted(await store.acquire(request(over)));
}

async function takeMany(store: LeaseStore, count: number): Promise<Lease[]> {
  return atOnce(count, () => take(store));
}

async function outcome(store: LeaseStore, over: Partial<LeaseRequest> = {}): Promise<string> {
  const placement = await store.acquire(request(over));
  return placement.kind === 'granted' ? placement.lease.workerId : placement.reason;
}

const servedBy = (leases: readonly Lease[], workerId: string): ServedLease[] =>
  leases
    .filter((lease) => lease.workerId === workerId)
    .map(({ token, epoch }) => ({ token, epoch, sessionId: 's' }));

/** The books as Redis has them, checked against one another; returns the leases per worker. */
async function auditedUse(): Promise<Record<string, number>> {
  const keys = poolKeys(pool);
  const [used, data, tokens, records, scores] = await Promise.all([
    redis.hgetall(keys.used),
    redis.hgetall(keys.leaseData),
    redis.zrange(keys.leases, 0, -1),
    redis.hgetall(keys.workers),
    redis.zrange(keys.free, 0, -1, 'WITHSCORES'),
  ]);
  const counted: Record<string, number> = {};
  for (const json of Object.values(data)) {
    const { worker: id } = JSON.parse(json) as { worker: string };
    counted[id] = (counted[id] ?? 0) + 1;
  }
  const free: string[] = [];
  for (const [id, json] of Object.entries(records)) {
    const { state, slots } = JSON.parse(json) as WorkerRecord;
    if (state === 'ready') free.push(id, String(slots - (counted[id] ?? 0)));
  }
  expect(tokens.sort()).toEqual(Object.keys(data).sort());
  for (const id of Object.keys({ ...used, ...counted })) expect(Number(used[id])).toBe(counted[id]);
  expect(scores.sort()).toEqual(free.sort());
  return counted;
}

describe('acquire', () => {
  it('admits exactly as many as there are slots when three gateways race', async () => {
    await registerAll(...['a', 'b', 'c', 'd'].map((id) => worker(id, 16)));
    const stores = connections.map((connection) => storeOf({}, connection));
    const race = (store: LeaseStore) => atOnce(334, () => store.acquire(request()));
    const placements = (await Promise.all(stores.map(race))).flat();
    const leases = placements.filter(({ kind }) => kind === 'granted').map(granted);
    expect(leases).toHaveLength(64);
    expect(new Set(leases.map(({ epoch }) => epoch)).size).toBe(64);
    expect(placements.every((one) => one.kind === 'granted' || one.reason === 'full')).toBe(true);
    expect(await auditedUse()).toEqual({ a: 16, b: 16, c: 16, d: 16 });
    const capacity = await registryOf().capacity();
    expect(capacity).toEqual({ workers: 4, readyWorkers: 4, slots: 64, leased: 64, free: 0 });
  });

  it('keeps to the limit of the pool when gateways race, and says so', async () => {
    await registerAll(worker('a', 16));
    const stores = connections.map((connection) => storeOf({ maxLeases: 10 }, connection));
    const racing = await Promise.all(stores.map((store) => atOnce(50, () => outcome(store))));
    expect(racing.flat().filter((one) => one === 'a')).toHaveLength(10);
    expect(racing.flat().filter((one) => one === 'limit')).toHaveLength(140);
  });

  it('returns the same lease for the same token, however often it is asked', async () => {
    await registerAll(worker('a', 4), worker('b', 4));
    const again = request();
    const stores = connections.map((connection) => storeOf({}, connection));
    const racing = await Promise.all(stores.map((store) => atOnce(5, () => take(store, again))));
    const lease = { workerId: 'a', address: 'ws://a', model: 'voxtral', epoch: 1 };
    for (const one of racing.flat()) expect(one).toEqual({ ...lease, token: again.token });
    expect(Object.values(await auditedUse())).toEqual([1]);
  });

  it('fills one worker after the other when packing, and levels them when spreading', async () => {
    await registerAll(worker('a', 2), worker('b', 4));
    const packed = await takeMany(storeOf({ policy: 'packing' }), 3);
    expect(packed.map(({ workerId }) => workerId)).toEqual(['a', 'a', 'b']);
    expect(await outcome(storeOf({ policy: 'spread' }))).toBe('b');
    for (const lease of packed.slice(0, 2)) await storeOf().release(lease);
    const spread = await takeMany(storeOf({ policy: 'spread' }), 2);
    expect(spread.map(({ workerId }) => workerId).sort()).toEqual(['a', 'b']);
  });

  it('passes over excluded workers', async () => {
    await registerAll(worker('a', 1), worker('b', 2), worker('c', 3));
    const store = storeOf();
    expect(await outcome(store, { exclude: ['a', 'b', 'b', 'nobody'] })).toBe('c');
    expect(await outcome(store, { exclude: ['a', 'b', 'c'] })).toBe('no_workers');
    expect(await outcome(store)).toBe('a');
    expect(await outcome(store, { exclude: ['b', 'c'] })).toBe('full');
  });

  it('gives nothing on a worker that drains or loads, and lets it keep what it has', async () => {
    await registerAll(worker('a', 4));
    const store = storeOf();
    const lease = await take(store);
    for (const state of ['draining', 'loading'] as const) {
      await registryOf().beat(worker('a', 4, state));
      expect(await outcome(store)).toBe('no_workers');
      expect(await store.renew([lease])).toEqual(['renewed']);
    }
    const capacity = await registryOf().capacity();
    expect(capacity).toEqual({ workers: 1, readyWorkers: 0, slots: 0, leased: 1, free: 0 });
    await registryOf().beat(worker('a', 4));
    expect(await outcome(store)).toBe('a');
    expect(await auditedUse()).toEqual({ a: 2 });
  });
});

describe('the end of a lease', () => {
  it('frees the slot once, however often it is released', async () => {
    await registerAll(worker('a', 2));
    const [first] = await takeMany(storeOf(), 2);
    const stores = connections.map((connection) => storeOf({}, connection));
    const releases = await Promise.all(stores.map((store) => store.release(first as Lease)));
    expect(releases.filter(Boolean)).toHaveLength(1);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('frees the slot when nobody renews it, and a late release changes nothing', async () => {
    await registerAll(worker('a', 1));
    const dead = await take(storeOf({ ttlMs: SHORT_MS }));
    await until(async () => (await outcome(storeOf())) === 'a');
    expect(await storeOf().release(dead)).toBe(false);
    expect(await storeOf().renew([dead])).toEqual(['lost']);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('does not come while it is renewed', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf({ ttlMs: 300 });
    const lease = await take(store);
    const endMs = Date.now() + 700;
    await until(async () => {
      expect(await store.renew([lease])).toEqual(['renewed']);
      return Date.now() > endMs;
    });
  });

  it('is fenced by epoch, worker and session', async () => {
    await registerAll(worker('a', 2));
    const store = storeOf();
    const lease = await take(store);
    const stale = { ...lease, epoch: lease.epoch + 1 };
    const elsewhere = { ...lease, workerId: 'b' };
    const answers = await store.renew([stale, elsewhere, lease]);
    expect(answers).toEqual(['lost', 'lost', 'renewed']);
    expect(await store.release(stale)).toBe(false);
    expect(await store.verify(lease.token, 'a', lease.epoch, 's')).toBe('valid');
    expect(await store.verify(lease.token, 'a', stale.epoch, 's')).toBe('stale_epoch');
    expect(await store.verify(lease.token, 'b', lease.epoch, 's')).toBe('lease_unknown');
    expect(await store.verify(lease.token, 'a', lease.epoch, 'other')).toBe('lease_unknown');
    await store.release(lease);
    expect(await store.verify(lease.token, 'a', lease.epoch, 's')).toBe('lease_unknown');
  });

  it('renews more leases than one call takes, in order', async () => {
    await registerAll(worker('a', 450));
    const leases = await takeMany(storeOf(), 450);
    await storeOf().release(leases[333] as Lease);
    const answers = await storeOf().renew(leases);
    expect(answers).toEqual(leases.map((_, index) => (index === 333 ? 'lost' : 'renewed')));
  });
});

describe('a grant that nobody claims', () => {
  const endsInMs = async ({ token }: Lease): Promise<number> => {
    const [endMs, [seconds, micros]] = await Promise.all([
      redis.zscore(poolKeys(pool).leases, token),
      redis.time(),
    ]);
    return Number(endMs) - (Number(seconds) * 1_000 + Number(micros) / 1_000);
  };

  it('ends with its short time; the first renewal gives a full TTL, which a repeated request leaves', async () => {
    await registerAll(worker('a', 2));
    const store = storeOf({ claimTtlMs: SHORT_MS });
    await store.acquire(request());
    const claimed = request();
    const lease = await take(store, claimed);
    expect(await endsInMs(lease)).toBeLessThanOrEqual(SHORT_MS);
    expect(await store.renew([lease])).toEqual(['renewed']);
    await until(async () => (await registryOf().capacity()).leased === 1);
    await take(store, claimed);
    expect(await endsInMs(lease)).toBeGreaterThan(SHORT_MS);
  });

  it('lasts no longer than a full TTL', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf({ ttlMs: SHORT_MS });
    expect(await endsInMs(await take(store))).toBeLessThanOrEqual(SHORT_MS);
  });

  it('is kept by a keeper, although the grant is short', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf({ claimTtlMs: 200 });
    const keeper = new LeaseKeeper({ store, clock, onError: () => undefined });
    keeper.start();
    const lease = await take(store);
    keeper.hold(lease, () => undefined);
    await until(async () => (await endsInMs(lease)) > 1_000);
    await keeper.stop();
    expect(await auditedUse()).toEqual({});
  });
});

describe('a dead worker', () => {
  it('gets no leases and is forgotten', async () => {
    const registry = registryOf({ beatTtlMs: SHORT_MS });
    await registry.register(worker('a', 1), []);
    await until(async () => (await registry.capacity()).workers === 0);
    expect(await outcome(storeOf())).toBe('no_workers');
    expect(await redis.hlen(poolKeys(pool).workers)).toBe(0);
    expect(await registry.beat(worker('a', 1))).toBe('unknown');
  });

  it('does not stand in the way of a live one, even with hundreds of its kind', async () => {
    const registry = registryOf({ beatTtlMs: SHORT_MS });
    await atOnce(300, (i) => registry.register(worker(`dead-${i}`, 1), []));
    await until(async () => (await registry.capacity()).workers === 0);
    await registerAll(worker('live', 8));
    await until(async () => (await outcome(storeOf())) === 'live');
  });

  it('is taken out at once when it says goodbye, and its leases stay until released', async () => {
    await registerAll(worker('a', 2));
    const store = storeOf();
    const lease = await take(store);
    await registryOf().deregister('a');
    expect(await outcome(store)).toBe('no_workers');
    expect(await store.renew([lease])).toEqual(['renewed']);
    expect(await store.release(lease)).toBe(true);
    expect(await auditedUse()).toEqual({});
  });
});

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
    const registry = new WorkerRegistry(connection, { pool });
    await registry.register(worker('a', 1), []);
    await own.kill();
    await until(async () => (await failure(store)) instanceof RedisUnavailable);
    const startedMs = performance.now();
    expect(await failure(store)).toBeInstanceOf(RedisUnavailable);
    await expect(registry.capacity()).rejects.toBeInstanceOf(RedisUnavailable);
    expect(performance.now() - startedMs).toBeLessThan(300);
    await own.restart();
    await until(async () => (await failure(store)) === undefined);
    expect(await outcome(store)).toBe('no_workers');
    expect(errors).toHaveLength(1);
  });

  it('fails within the command timeout when Redis hangs, and works again when it does', async () => {
    const store = storeOf({}, connection);
    own.freeze();
    const startedMs = performance.now();
    expect(await failure(store)).toBeInstanceOf(RedisUnavailable);
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    own.thaw();
    await until(async () => (await failure(store)) === undefined);
  });

  it('gives a grant that came after its gateway gave up back within the claim time', async () => {
    const claimTtlMs = 1_000;
    const store = storeOf({ claimTtlMs }, connection);
    const registry = new WorkerRegistry(connection, { pool, beatTtlMs: LONG_MS });
    await registry.register(worker('a', 1), []);
    own.freeze();
    expect(await failure(store)).toBeInstanceOf(RedisUnavailable);
    own.thaw();
    await ready(connection);
    const thawedMs = performance.now();
    expect((await registry.capacity()).free).toBe(0);
    await until(async () => (await outcome(store)) === 'a');
    expect(performance.now() - thawedMs).toBeLessThan(claimTtlMs + 500);
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
    const store = (): LeaseStore => storeOf({ ttlMs: ttlMs(), policy: pick('packing', 'spread') });
    const registry = (): WorkerRegistry => registryOf({ beatTtlMs: ttlMs() });
    const state = (): WorkerState => pick('ready', 'ready', 'ready', 'draining');
    const record = (): WorkerRecord => worker(pick('a', 'b', 'c'), 3, state());
    const leases: Lease[] = [];
    const operations: (() => Promise<unknown>)[] = [
      () => registry().beat(record()),
      () => registry().deregister(record().workerId),
      () => store().renew(leases.slice(-5)),
      () => store().release(leases.at(-pick(1, 2, 3)) ?? { token: 'none', epoch: 1 }),
      async () => {
        const one = record();
        await registry().register(one, servedBy(leases.slice(-3), one.workerId));
      },
      async () => {
        const placement = await store().acquire(request({ exclude: pick([], [], ['a']) }));
        if (placement.kind === 'refused') return;
        expect(placement.lease.epoch).toBeGreaterThan(leases.at(-1)?.epoch ?? 0);
        expect((await auditedUse())[placement.lease.workerId]).toBeLessThanOrEqual(3);
        leases.push(placement.lease);
      },
    ];
    for (let step = 0; step < 300; step++) {
      await pick(...operations)();
      await auditedUse();
    }
    expect(leases.length).toBeGreaterThan(10);
  };
  it.each([1, 2, 3])('balance after each of many random operations (seed %i)', balance, 30_000);
});

describe('a cluster', () => {
  it('takes all scripts, for the keys of a pool share a slot and are all declared', async () => {
    const own = await startRedis({ 'cluster-enabled': 'yes' });
    const node = await connect(own.url);
    try {
      await node.cluster('ADDSLOTSRANGE', 0, 16_383);
      await until(async () => String(await node.cluster('INFO')).includes('cluster_state:ok'));
      const keys = Object.values(poolKeys(pool));
      const slots = await Promise.all(keys.map((key) => node.cluster('KEYSLOT', key)));
      expect(new Set(slots).size).toBe(1);
      const registry = new WorkerRegistry(node, { pool });
      const store = storeOf({}, node);
      await registry.register(worker('a', 1), []);
      const lease = await take(store);
      expect(await store.renew([lease])).toEqual(['renewed']);
      expect(await store.verify(lease.token, 'a', lease.epoch, 's')).toBe('valid');
      expect(await store.release(lease)).toBe(true);
      expect((await registry.capacity()).free).toBe(1);
      await registry.deregister('a');
    } finally {
      node.disconnect();
      await own.stop();
    }
  });
});
