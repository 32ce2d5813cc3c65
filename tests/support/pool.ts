import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import { poolKeys } from '@voice-fleet/fleet/keys';
import type { Lease, LeaseRequest, Placement } from '@voice-fleet/fleet/lease';
import { newLeaseToken } from '@voice-fleet/fleet/lease';
import { LeaseStore, type LeaseStoreOptions } from '@voice-fleet/fleet/lease-store';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import type { ServedLease, WorkerRecord, WorkerState } from '@voice-fleet/fleet/worker';
import { WorkerRegistry, type WorkerRegistryOptions } from '@voice-fleet/fleet/worker-registry';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

export const PATIENCE_MS = 4_500;
/** For what must run out during a test, and for what must not. */
export const SHORT_MS = 40;
export const LONG_MS = 60_000;

export let server: TestRedis;
export let connections: Redis[];
export let redis: Redis;
export let pool: string;

export const ready = (one: Redis): Promise<void> =>
  untilReady(one, AbortSignal.timeout(PATIENCE_MS));

export async function connect(url: string, errors: Error[] = []): Promise<Redis> {
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
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('condition not met in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function storeOf(options: Partial<LeaseStoreOptions> = {}, connection = redis): LeaseStore {
  return new LeaseStore(connection, { pool, ttlMs: LONG_MS, claimTtlMs: LONG_MS, ...options });
}

export function registryOf(options: Partial<WorkerRegistryOptions> = {}): WorkerRegistry {
  return new WorkerRegistry(redis, { pool, beatTtlMs: LONG_MS, leaseTtlMs: LONG_MS, ...options });
}

export function worker(
  workerId: string,
  slots: number,
  state: WorkerState = 'ready',
): WorkerRecord {
  return { workerId, address: `ws://${workerId}`, model: 'voxtral', engine: 'fake', slots, state };
}

/** `count` calls in flight together. */
export const atOnce = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)));

export async function registerAll(...workers: WorkerRecord[]): Promise<void> {
  for (const one of workers) await registryOf().register(one, []);
}

export function request(over: Partial<LeaseRequest> = {}): LeaseRequest {
  return { token: newLeaseToken(), sessionId: 's', ...over };
}

export function granted(placement: Placement): Lease {
  if (placement.kind === 'refused') throw new Error(`refused: ${placement.reason}`);
  return placement.lease;
}

export async function take(store: LeaseStore, over: Partial<LeaseRequest> = {}): Promise<Lease> {
  return granted(await store.acquire(request(over)));
}

export async function takeMany(store: LeaseStore, count: number): Promise<Lease[]> {
  return atOnce(count, () => take(store));
}

export async function outcome(
  store: LeaseStore,
  over: Partial<LeaseRequest> = {},
): Promise<string> {
  const placement = await store.acquire(request(over));
  return placement.kind === 'granted' ? placement.lease.workerId : placement.reason;
}

export const servedBy = (leases: readonly Lease[], workerId: string): ServedLease[] =>
  leases
    .filter((lease) => lease.workerId === workerId)
    .map(({ token, epoch }) => ({ token, epoch, sessionId: 's' }));

/** The books as Redis has them, checked against one another; returns the leases per worker. */
export async function auditedUse(): Promise<Record<string, number>> {
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
