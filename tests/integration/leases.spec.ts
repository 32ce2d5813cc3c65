import { describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type { Lease } from '@voice-fleet/fleet/lease';
import { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import {
  atOnce,
  auditedUse,
  connections,
  fleet,
  granted,
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
    expect(capacity).toEqual({
      workers: 4,
      readyWorkers: 4,
      failedWorkers: 0,
      slots: 64,
      leased: 64,
      free: 0,
      waiting: 0,
      moving: 0,
      waitingForAny: 0,
      waitingFor: new Map(),
      models: new Map([['voxtral', { free: 0, waiting: 0 }]]),
      pools: new Map([
        [
          'default',
          {
            workers: 4,
            readyWorkers: 4,
            slots: 64,
            leased: 64,
            leaving: 0,
            free: 0,
            models: ['voxtral'],
          },
        ],
      ]),
    });
  });

  it('keeps to the limit of the fleet when gateways race, and says so', async () => {
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
    const { models, ...capacity } = await registryOf().capacity();
    expect(models.size).toBe(0);
    expect(capacity).toMatchObject({ workers: 1, readyWorkers: 0, slots: 0, leased: 1, free: 0 });
    await registryOf().beat(worker('a', 4));
    expect(await outcome(store)).toBe('a');
    expect(await auditedUse()).toEqual({ a: 2 });
  });

  it('gives nothing on a worker that could not load its model, and remembers it for a while (P43)', async () => {
    const registry = registryOf({ failedTtlMs: 300 });
    await registry.register(worker('a', 4, 'failed'), []);
    await registry.register(worker('b', 4, 'loading'), []);
    const store = storeOf();
    expect(await outcome(store)).toBe('no_workers');
    const counted = { workers: 1, readyWorkers: 0, failedWorkers: 1, slots: 0, free: 0 };
    expect(await registry.capacity()).toMatchObject(counted);
    await registry.beat(worker('b', 4));
    expect(await outcome(store)).toBe('b');
    expect(await registry.capacity()).toMatchObject({
      readyWorkers: 1,
      failedWorkers: 1,
      slots: 4,
    });
    await until(async () => (await registry.capacity()).failedWorkers === 0);
    expect(await registry.capacity()).toMatchObject({ workers: 1, readyWorkers: 1 });
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
    expect(await store.verify(lease.token, 'a', lease.epoch, 's', 't')).toBe('valid');
    expect(await store.verify(lease.token, 'a', stale.epoch, 's', 't')).toBe('stale_epoch');
    expect(await store.verify(lease.token, 'b', lease.epoch, 's', 't')).toBe('lease_unknown');
    expect(await store.verify(lease.token, 'a', lease.epoch, 'other', 't')).toBe('lease_unknown');
    await store.release(lease);
    expect(await store.verify(lease.token, 'a', lease.epoch, 's', 't')).toBe('lease_unknown');
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
      redis.zscore(fleetKeys(fleet).leases, token),
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
    expect(await redis.hlen(fleetKeys(fleet).workers)).toBe(0);
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
