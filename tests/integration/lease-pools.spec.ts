import { describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type { WorkerRecord, WorkerState } from '@voice-fleet/fleet/worker';
import {
  auditedUse,
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
