import { describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type { Lease } from '@voice-fleet/fleet/lease';
import type { LeaseStore, LeaseStoreOptions } from '@voice-fleet/fleet/lease-store';
import type { WorkerRecord, WorkerState } from '@voice-fleet/fleet/worker';
import {
  atOnce,
  auditedUse,
  connections,
  expectNoSlotIdle,
  fleet,
  outcome,
  redis,
  registerAll,
  registryOf,
  request,
  SHORT_MS,
  storeOf,
  take,
  takeMany,
  until,
  worker,
} from '../support/pool.ts';

const of = (pool: string, workerId: string, slots: number, state?: WorkerState): WorkerRecord => ({
  ...worker(workerId, slots, state),
  pool,
});

/** The n-th of its pool, called so. */
const nth = (ordinal: number, slots: number, state?: WorkerState): WorkerRecord => ({
  ...worker(`w${ordinal}`, slots, state),
  ordinal,
});

/** Draws from 0 up to 1, always the same after the same seed. */
function drawing(seed: number): () => number {
  let drawn = seed;
  return () => {
    drawn = (drawn * 48_271) % 2_147_483_647;
    return drawn / 2_147_483_647;
  };
}

const poolsNow = async (): Promise<Record<string, object>> =>
  Object.fromEntries((await registryOf().capacity()).pools);

describe('what a fleet tells of its pools', () => {
  it('is told of each, with what it serves and the sessions that need a slot elsewhere', async () => {
    await registerAll(of('small', 'a', 2), of('small', 'b', 1), of('big', 'c', 4, 'loading'));
    await registryOf().register({ ...of('big', 'd', 3), model: 'other' }, []);
    const store = storeOf();
    await takeMany(store, 5);
    // One of the two that are left is full, the other tells that it has fewer slots than sessions.
    await registryOf().beat(of('small', 'a', 2, 'draining'));
    await registryOf().beat({ ...of('big', 'd', 1), model: 'other' });
    expect(await poolsNow()).toEqual({
      small: {
        workers: 2,
        readyWorkers: 1,
        slots: 1,
        leased: 3,
        leaving: 2,
        free: 0,
        models: ['voxtral'],
      },
      big: {
        workers: 2,
        readyWorkers: 1,
        slots: 1,
        leased: 2,
        leaving: 0,
        free: 0,
        models: expect.arrayContaining(['voxtral', 'other']),
      },
    });
    expect(await auditedUse()).toEqual({ a: 2, b: 1, d: 2 });
  });

  it('counts the sessions of a lost worker as those that need a slot, until they have one', async () => {
    await registerAll(of('gone', 'a', 1));
    const store = storeOf();
    const lease = await take(store);
    await registryOf({ beatTtlMs: SHORT_MS }).beat(of('gone', 'a', 1));
    await until(async () => (await registryOf().capacity()).workers === 0);
    const lost = { workers: 0, readyWorkers: 0, slots: 0, free: 0, models: [] };
    expect(await poolsNow()).toEqual({ gone: { ...lost, leased: 1, leaving: 1 } });
    await registerAll(of('new', 'b', 1));
    await take(store, { replaces: lease.token });
    const { gone, new: found } = await poolsNow();
    expect([gone, found]).toEqual([undefined, expect.objectContaining({ leased: 1, leaving: 0 })]);
  });

  it('tells those who wait by what they wait for, and whether they have a slot meanwhile', async () => {
    await registerAll(of('small', 'a', 1));
    const store = storeOf();
    const lease = await take(store);
    await registryOf().beat(of('small', 'a', 1, 'draining'));
    for (const over of [{ replaces: lease.token }, {}, { model: 'nobody' }, { model: 'voxtral' }])
      await store.enter(request(over));
    expect(await registryOf().capacity()).toMatchObject({
      leased: 1,
      waiting: 4,
      moving: 1,
      waitingForAny: 2,
      waitingFor: new Map([
        ['nobody', 1],
        ['voxtral', 1],
      ]),
    });
    await store.release(lease);
    expect(await registryOf().capacity()).toMatchObject({ leased: 0, waiting: 4, moving: 0 });
  });

  it('has workers older than pools in the default one, and counts anew what older gateways did not', async () => {
    await registerAll(worker('old', 1), of('new', 'b', 2));
    const store = storeOf();
    const leases = await takeMany(store, 3);
    const leased = async (): Promise<unknown> =>
      Object.entries(await poolsNow()).map(([name, pool]) => [name, pool]);
    const counted = [
      ['default', expect.objectContaining({ leased: 1 })],
      ['new', expect.objectContaining({ leased: 2 })],
    ];
    expect(await leased()).toEqual(expect.arrayContaining(counted));
    // As an older gateway leaves a lease.
    const { leaseData, poolLeases } = fleetKeys(fleet);
    for (const { token } of leases) {
      const { pool, ...rest } = JSON.parse((await redis.hget(leaseData, token)) ?? '{}');
      await redis.hset(leaseData, token, JSON.stringify(rest));
      await redis.hincrby(poolLeases, pool, -1);
    }
    expect(await leased()).toEqual(expect.arrayContaining(counted));
    for (const one of leases) await store.release(one);
    expect(await leased()).toEqual([
      ['default', expect.objectContaining({ leased: 0 })],
      ['new', expect.objectContaining({ leased: 0 })],
    ]);
    expect(await outcome(store)).toBe('old');
  });
});

describe('placement by ordinal', () => {
  const store = (): LeaseStore => storeOf({ policy: 'ordinal' });

  it('fills the lowest that has room, of equals the fullest, and those older than ordinals as the first', async () => {
    await registerAll(nth(10, 1), nth(2, 2), worker('old', 1), of('other', 'b', 2));
    const taken = await atOnce(6, () => take(store()));
    const expected = ['old', 'b', 'b', 'w2', 'w2', 'w10'];
    expect(taken.map(({ workerId }) => workerId)).toEqual(expected);
    expect(await outcome(store())).toBe('full');
    await auditedUse();
  });

  it.each([1, 2])('keeps high ordinals idle while sessions come and go (seed %i)', async (seed) => {
    const random = drawing(seed);
    await registerAll(...[3, 0, 4, 1, 2].map((ordinal) => nth(ordinal, 3)));
    const leases: Lease[] = [];
    const taken = [0, 0, 0, 0, 0];
    const count = (lease: Lease, by: number): void => {
      const ordinal = Number(lease.workerId.slice(1));
      taken[ordinal] = (taken[ordinal] ?? 0) + by;
    };
    for (let step = 0; step < 150; step += 1) {
      if (random() < 0.55 && leases.length < 12) {
        const lowest = `w${taken.findIndex((sessions) => sessions < 3)}`;
        const lease = await take(store());
        expect(lease.workerId).toBe(lowest);
        count(lease, 1);
        leases.push(lease);
        continue;
      }
      const [lease] = leases.splice(Math.floor(random() * leases.length), 1);
      if (lease === undefined) continue;
      await store().release(lease);
      count(lease, -1);
    }
    await auditedUse();
    // Twelve at once fill four of the five.
    expect(taken[4]).toBe(0);
  });

  it('moves the sessions of the worker that is removed to the lowest one, waiting for it if need be', async () => {
    await registerAll(nth(0, 1), nth(1, 1), nth(2, 2));
    const [first] = await takeMany(store(), 4);
    await registryOf().beat(nth(2, 2, 'draining'));
    const leaving = Object.entries(await redis.hgetall(fleetKeys(fleet).leaseData))
      .filter(([, json]) => json.includes('"w2"'))
      .map(([token]) => token);
    const moves = leaving.map((token) => request({ replaces: token, exclude: ['w2'] }));
    for (const move of moves) expect(await store().enter(move)).toMatchObject({ kind: 'waiting' });
    await store().release(first as Lease);
    await registerAll(nth(3, 4));
    const placed = await store().poll(moves.map(({ token }) => token));
    expect(placed).toMatchObject([{ lease: { workerId: 'w0' } }, { lease: { workerId: 'w3' } }]);
    expect(await auditedUse()).toEqual({ w0: 1, w1: 1, w3: 1 });
  });

  it('looks past the dead, the excluded and those of other models', async () => {
    const others = Array.from({ length: 70 }, (_, ordinal) => ({ ...nth(ordinal, 1), model: 'x' }));
    await registryOf({ beatTtlMs: 1 }).register(nth(70, 1), []);
    await registerAll(...others, nth(71, 1), nth(72, 1));
    await until(async () => (await registryOf().capacity()).workers === 72);
    const wanted = { model: 'voxtral', exclude: ['w71'] };
    expect(await outcome(store(), wanted)).toBe('w72');
    expect(await outcome(store(), wanted)).toBe('full');
  });

  it('finds what gateways older than it have left: nothing is missed, and no slot given twice', async () => {
    await registerAll(nth(0, 1), nth(1, 1));
    const { free, room } = fleetKeys(fleet);
    await redis.del(room);
    expect(await outcome(store())).toBe('w0');
    // One gave back the slot that it had, and took the other.
    await redis.zadd(free, 1, 'w0', 0, 'w1');
    expect(await outcome(store())).toBe('w0');
    expect(await outcome(store())).toBe('full');
  });
});

describe('weights of pools', () => {
  const weighing = (weights: Record<string, number>, over: Partial<LeaseStoreOptions> = {}) =>
    storeOf({ weights: new Map(Object.entries(weights)), ...over });
  const leasedNow = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      [...(await registryOf().capacity()).pools].map(([name, { leased }]) => [name, leased]),
    );

  it('are met within one session at any time while sessions come, and again after they have changed', async () => {
    await registerAll(of('stable', 'a', 200), of('canary', 'b', 200));
    const leases: Lease[] = [];
    const isMet = async (canary: number): Promise<void> => {
      const leased = await leasedNow();
      expect(Math.abs((leased['canary'] ?? 0) - canary * leases.length)).toBeLessThanOrEqual(1);
    };
    const before = weighing({ stable: 95, canary: 5 });
    while (leases.length < 60) {
      leases.push(await take(before));
      await isMet(0.05);
    }
    const after = weighing({ stable: 50, canary: 50 });
    while ((await leasedNow())['canary'] !== 30) {
      await after.release(leases.find(({ workerId }) => workerId === 'a') as Lease);
      leases.splice(
        leases.findIndex(({ workerId }) => workerId === 'a'),
        1,
      );
      leases.push(await take(after));
    }
    await isMet(0.5);
    for (let one = 0; one < 5; one += 1) {
      leases.push(await take(after));
      await isMet(0.5);
    }
  });

  it.each([
    [1, 'packing'],
    [2, 'spread'],
    [3, 'ordinal'],
  ] as const)(
    'decide at every placement, among pools with room (seed %i, %s)',
    async (seed, policy) => {
      const random = drawing(seed);
      const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
      const pools = { stable: 6, canary: 1, off: 0, unnamed: 1 };
      const { unnamed, ...weights } = pools;
      type Name = keyof typeof pools;
      const names = Object.keys(pools) as Name[];
      const poolOf = (id: string): Name => names.find((name) => id.startsWith(name)) as Name;
      const store = weighing(weights, { policy });
      const record = (pool: Name): WorkerRecord => ({
        ...of(pool, `${pool}${pick([0, 1])}`, pick([1, 3]), pick(['ready', 'ready', 'draining'])),
        ordinal: pick([0, 1]),
      });
      for (const pool of names) await registerAll(record(pool));
      const leases: Lease[] = [];
      for (let step = 0; step < 200; step += 1) {
        const action = pick(['take', 'take', 'move', 'release', 'beat']);
        if (action === 'beat') await registryOf().register(record(pick(names)), []);
        else if (action === 'release' && leases.length > 0) {
          const [gone] = leases.splice(Math.floor(random() * leases.length), 1);
          await store.release(gone as Lease);
        } else {
          const moving = action === 'move' ? leases.at(0) : undefined;
          const known = (await registryOf().capacity()).pools;
          const withRoom = (await redis.zrangebyscore(fleetKeys(fleet).free, 1, '+inf'))
            .filter((id) => id !== moving?.workerId)
            .map(poolOf);
          const open = names.filter((name) => pools[name] > 0 && withRoom.includes(name));
          const load = (name: Name): number => (known.get(name)?.leased ?? 0) / pools[name];
          const least = Math.min(...open.map(load));
          const best = open.filter((name) => load(name) === least);
          const last = moving && withRoom.includes('off') ? ['off'] : [];
          const placed = await store.acquire(
            request({ ...(moving && { replaces: moving.token, exclude: [moving.workerId] }) }),
          );
          if (placed.kind === 'refused') {
            expect([...open, ...last]).toEqual([]);
            continue;
          }
          expect(best.length > 0 ? best : last).toContain(poolOf(placed.lease.workerId));
          if (moving) leases.shift();
          leases.push(placed.lease);
        }
        await auditedUse();
      }
    },
  );

  it('refuse nobody: a full canary is passed over, and the last slot of the fleet is given', async () => {
    await registerAll(of('stable', 'a', 20), of('stable', 'b', 20), of('canary', 'c', 2));
    const racing = await Promise.all(
      connections.map((connection) => {
        const weights = new Map([['canary', 1_000_000]]);
        const store = storeOf({ weights, policy: 'ordinal' }, connection);
        return atOnce(20, () => outcome(store));
      }),
    );
    const refused = racing.flat().filter((one) => one === 'full');
    expect([racing.flat().length, refused.length]).toEqual([60, 18]);
    expect(await auditedUse()).toEqual({ a: 20, b: 20, c: 2 });
  });

  it('let who waits have any slot that gets free, whatever the weight of its pool', async () => {
    await registerAll(of('stable', 'a', 1), of('canary', 'b', 1));
    const store = weighing({ stable: 1000, canary: 1 });
    const leases = await takeMany(store, 2);
    const waiting = request();
    expect(await store.enter(waiting)).toMatchObject({ kind: 'waiting' });
    await store.release(leases.find(({ workerId }) => workerId === 'b') as Lease);
    expect(await store.poll([waiting.token])).toMatchObject([{ lease: { workerId: 'b' } }]);
    await auditedUse();
  });

  it('look for a model in the next pool where the first has none', async () => {
    await registerAll(of('stable', 'a', 2), { ...of('canary', 'b', 2), model: 'next' });
    const store = weighing({ stable: 1, canary: 1000 });
    expect([
      await outcome(store, { model: 'voxtral' }),
      await outcome(store),
      await outcome(store, { model: 'next' }),
      await outcome(store, { model: 'next' }),
      await outcome(store, { model: 'voxtral' }),
    ]).toEqual(['a', 'b', 'b', 'full', 'a']);
  });

  it('of 0 keep newcomers out of a pool, at once and in line, and let in who moves and finds nothing else', async () => {
    await registerAll(of('off', 'x', 2));
    const store = weighing({ off: 0 });
    const registry = registryOf({ closedPools: ['off'] });
    expect(await outcome(store)).toBe('no_workers');
    expect(await registry.capacity()).toMatchObject({ free: 0, slots: 2, models: new Map() });
    await registerAll(of('stable', 'a', 1), of('stable', 'b', 1));
    const [lease, other] = await takeMany(store, 2);
    expect(await outcome(store)).toBe('full');
    const waiting = request();
    const picky = request({ model: 'voxtral' });
    for (const one of [waiting, picky])
      expect(await store.enter(one)).toMatchObject({ kind: 'waiting' });
    await registry.beat(of('off', 'x', 2));
    const states = await store.poll([waiting.token, picky.token]);
    expect(states.map(({ kind }) => kind)).toEqual(['waiting', 'waiting']);
    expect(await registry.capacity()).toMatchObject({
      waitingForAny: 1,
      waitingFor: new Map([['voxtral', 1]]),
    });
    await expectNoSlotIdle();
    // It may stay where it is, so it does; where it may not, those in line have its slot.
    const { workerId, token } = lease as Lease;
    const stayed = await take(store, { replaces: token });
    expect(stayed.workerId).toBe(workerId);
    const moved = await take(store, { replaces: stayed.token, exclude: [workerId] });
    expect(moved.workerId).toBe('x');
    const served = await store.poll([waiting.token]);
    expect(served).toMatchObject([{ kind: 'granted', lease: { workerId } }]);
    await store.release(other as Lease);
    expect(await store.poll([picky.token])).toMatchObject([{ kind: 'granted' }]);
    await auditedUse();
  });
});
