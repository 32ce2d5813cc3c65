import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type {
  Lease,
  LeaseRequest,
  Placement,
  TenantClaim,
  Waiting,
} from '@voice-fleet/fleet/lease';
import { newLeaseToken } from '@voice-fleet/fleet/lease';
import { LeaseStore, type LeaseStoreOptions } from '@voice-fleet/fleet/lease-store';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import type { ServedLease, WorkerRecord, WorkerState } from '@voice-fleet/fleet/worker';
import { WorkerRegistry, type WorkerRegistryOptions } from '@voice-fleet/fleet/worker-registry';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

export const PATIENCE_MS = 60_000;
/** For what must run out during a test, and for what must not. */
export const SHORT_MS = 40;
export const LONG_MS = 60_000;

export let server: TestRedis;
export let connections: Redis[];
export let redis: Redis;
export let fleet: string;

export const ready = (one: Redis): Promise<void> =>
  untilReady(one, AbortSignal.timeout(PATIENCE_MS));

/** For races of a thousand calls on a busy machine. */
export const RACE_TIMEOUT_MS = 30_000;

export async function connect(
  url: string,
  errors: Error[] = [],
  commandTimeoutMs = 500,
): Promise<Redis> {
  const onError = (error: Error): void => void errors.push(error);
  const connection = connectRedis(url, { onError, commandTimeoutMs });
  await ready(connection);
  return connection;
}

beforeAll(async () => {
  server = await startRedis();
  const racer = (): Promise<Redis> => connect(server.url, [], RACE_TIMEOUT_MS);
  connections = await Promise.all([racer(), racer(), racer()]);
  redis = connections[0] as Redis;
});
afterAll(async () => {
  for (const connection of connections) connection.disconnect();
  await server.stop();
});
beforeEach(async () => {
  fleet = newLeaseToken();
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
  return new LeaseStore(connection, { fleet, ttlMs: LONG_MS, claimTtlMs: LONG_MS, ...options });
}

export function registryOf(options: Partial<WorkerRegistryOptions> = {}): WorkerRegistry {
  return new WorkerRegistry(redis, { fleet, beatTtlMs: LONG_MS, leaseTtlMs: LONG_MS, ...options });
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

/** A tenant without limits, but for what is said. */
export function tenant(id = 't', over: Partial<TenantClaim> = {}): TenantClaim {
  return { id, maxSessions: 0, sessionsPerSecond: 0, weight: 1, priority: 'normal', ...over };
}

export function request(over: Partial<LeaseRequest> = {}): LeaseRequest {
  return { token: newLeaseToken(), sessionId: 's', tenant: tenant(), ...over };
}

export function granted(placement: Placement | Waiting): Lease {
  if (placement.kind === 'granted') return placement.lease;
  throw new Error(placement.kind === 'waiting' ? 'waiting' : `refused: ${placement.reason}`);
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
    .map(({ token, epoch }) => ({ token, epoch, sessionId: 's', tenantId: 't' }));

interface StoredTicket {
  readonly class: number;
  readonly tenant: string;
  readonly counted: boolean;
  readonly place: string;
  readonly exclude: readonly string[];
  readonly model?: string;
  readonly closed?: readonly string[];
}

/** What MULTI answers, in one snapshot that no other connection can change. */
async function snapshot() {
  const keys = fleetKeys(fleet);
  const replies = await redis
    .multi()
    .hgetall(keys.used)
    .hgetall(keys.leaseData)
    .zrange(keys.leases, 0, -1)
    .hgetall(keys.workers)
    .zrange(keys.free, 0, -1, 'WITHSCORES')
    .hgetall(keys.tenants)
    .hgetall(keys.tickets)
    .zrange(keys.ticketEnds, 0, -1)
    .zrange(keys.queue, 0, -1)
    .zrange(keys.seats, 0, -1)
    .hgetall(keys.lines)
    .zrange(keys.idle, 0, -1)
    .hgetall(keys.wanted)
    .hgetall(keys.poolLeases)
    .zrange(keys.room, 0, -1)
    .exec();
  const read = (replies ?? []).map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
  const [used, data, tokens, records, scores, tenants, tickets, ends, queue, seats, lines, idle] =
    read;
  return {
    used: used as Record<string, string>,
    data: data as Record<string, string>,
    tokens: tokens as string[],
    records: records as Record<string, string>,
    scores: scores as string[],
    tenants: tenants as Record<string, string>,
    tickets: tickets as Record<string, string>,
    ends: ends as string[],
    queue: queue as string[],
    seats: seats as string[],
    lines: lines as Record<string, string>,
    idle: idle as string[],
    wanted: read[12] as Record<string, string>,
    poolLeases: read[13] as Record<string, string>,
    room: read[14] as string[],
  };
}

const tally = (names: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

const numbers = (record: Record<string, string>): Record<string, number> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, Number(value)]));

/** The books as Redis has them at one instant, checked against one another; returns the leases per worker. */
export async function auditedUse(): Promise<Record<string, number>> {
  const books = await snapshot();
  const leases = Object.values(books.data).map(
    (json) => JSON.parse(json) as { worker: string; pool: string; tenant: string },
  );
  const counted = tally(leases.map(({ worker: id }) => id));
  const free: string[] = [];
  const room: string[] = [];
  for (const [id, json] of Object.entries(books.records)) {
    const { state, slots, pool = 'default', ordinal = 0 } = JSON.parse(json) as WorkerRecord;
    if (state !== 'ready') continue;
    const count = slots - (counted[id] ?? 0);
    free.push(id, String(count));
    if (count < 1) continue;
    const byFree = `${String(count).padStart(6, '0')}/${id}`;
    const byOrdinal = `${String(ordinal).padStart(6, '0')}/${byFree}`;
    room.push(`/o/${byOrdinal}`, `${pool}/o/${byOrdinal}`, `${pool}/f/${byFree}`);
  }
  expect(books.tokens.sort()).toEqual(Object.keys(books.data).sort());
  expect(numbers(books.used)).toEqual(counted);
  expect(books.scores.sort()).toEqual(free.sort());
  expect(books.room.sort()).toEqual(room.sort());
  expect(numbers(books.poolLeases)).toEqual(tally(leases.map((lease) => lease.pool)));

  const tickets = Object.values(books.tickets).map((json) => JSON.parse(json) as StoredTicket);
  const places = [...leases, ...tickets.filter((ticket) => ticket.counted)];
  expect(numbers(books.tenants)).toEqual(tally(places.map((one) => one.tenant)));
  expect(books.ends.sort()).toEqual(Object.keys(books.tickets).sort());
  expect(books.queue.sort()).toEqual(tickets.map(({ place }) => place).sort());
  const wanted = tickets.flatMap(({ model, closed }) => {
    if (closed) return [[model ?? '', ...closed].join('\n')];
    return model === undefined ? [] : [model];
  });
  expect(numbers(books.wanted)).toEqual(tally(wanted));
  const lines = tally(tickets.map((ticket) => `${ticket.class}/${ticket.tenant}`));
  const seats: string[] = [];
  const inLine: Record<string, number> = {};
  for (const [line, text] of Object.entries(books.lines)) {
    const [first, behind] = text.split(' ').map(Number) as [number, number];
    inLine[line] = behind - first;
    for (let seat = first; seat < behind; seat += 1) seats.push(`${line}/${seat}`);
  }
  expect(inLine).toEqual(lines);
  expect(books.seats.sort()).toEqual(seats.sort());
  // A line is idle or has tickets; a class of which nobody waits has forgotten all.
  const classes = new Set(Object.keys(lines).map((line) => line[0]));
  for (const line of books.idle)
    expect([lines[line], classes.has(line[0])]).toEqual([undefined, true]);
  return counted;
}

/** Nobody is in line who could have one of the slots that are free. To be called when all workers are live. */
export async function expectNoSlotIdle(): Promise<void> {
  const { scores, tickets, records } = await snapshot();
  const withRoom: string[] = [];
  for (let i = 0; i < scores.length; i += 2)
    if (Number(scores[i + 1]) > 0) withRoom.push(scores[i] as string);
  for (const json of Object.values(tickets)) {
    const { exclude, model, closed } = JSON.parse(json) as StoredTicket;
    const passedOver = Array.isArray(exclude) ? exclude : [];
    const suits = (id: string): boolean => {
      const record = JSON.parse(records[id] ?? '{}') as WorkerRecord;
      const open = !closed?.includes(record.pool ?? 'default');
      return open && (model === undefined || record.model === model);
    };
    expect(withRoom.filter((id) => !passedOver.includes(id) && suits(id))).toEqual([]);
  }
}
