import { describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type { Lease } from '@voice-fleet/fleet/lease';
import {
  atOnce,
  auditedUse,
  connections,
  expectNoSlotIdle,
  fleet,
  granted,
  LONG_MS,
  outcome,
  ready,
  redis,
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

const sessions = async (id = 't'): Promise<number> =>
  Number((await redis.hget(fleetKeys(fleet).tenants, id)) ?? 0);

const endsAt = async ({ token }: Lease): Promise<string | null> =>
  redis.zscore(fleetKeys(fleet).leases, token);

describe("a tenant's sessions", () => {
  const ten = tenant('t', { maxSessions: 10 });

  it('are exactly as many as it may have when a hundred dial at three gateways', async () => {
    await registerAll(worker('a', 64));
    const stores = connections.map((connection) => storeOf({}, connection));
    const dial = (index: number) =>
      outcome(stores[index % 3] as (typeof stores)[number], { tenant: ten });
    const ends = await atOnce(100, dial);
    expect(ends.filter((one) => one === 'a')).toHaveLength(10);
    expect(ends.filter((one) => one === 'tenant_sessions')).toHaveLength(90);
    expect(await outcome(storeOf(), { tenant: tenant('other') })).toBe('a');
    expect(await auditedUse()).toEqual({ a: 11 });
  });

  it('count while they wait, and give their place back when they leave the line', async () => {
    await registerAll(worker('a', 6));
    const tickets = Array.from({ length: 10 }, () => request({ tenant: ten }));
    const places = [];
    for (const one of tickets) places.push(await storeOf().enter(one));
    const kinds = places.map(({ kind }) => kind);
    expect(kinds).toEqual([...Array(6).fill('granted'), ...Array(4).fill('waiting')]);
    expect(await storeOf().enter(request({ tenant: ten }))).toMatchObject({
      reason: 'tenant_sessions',
    });
    await storeOf().abandon(tickets[9]?.token as string);
    expect(await storeOf().enter(request({ tenant: ten }))).toMatchObject({ position: 4 });
    expect(await sessions()).toBe(10);
    await auditedUse();
  });

  it('end with their leases and tickets, when nobody renews or polls them', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf({ ttlMs: SHORT_MS, ticketTtlMs: SHORT_MS });
    const one = tenant('t', { maxSessions: 2 });
    await take(store, { tenant: one });
    await store.enter(request({ tenant: one }));
    expect(await outcome(storeOf(), { tenant: one })).toBe('tenant_sessions');
    await until(async () => (await outcome(storeOf(), { tenant: one })) === 'a');
    await until(async () => {
      await storeOf().poll([]);
      return (await sessions()) === 1;
    });
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('say when one of them is likely to end', async () => {
    await registerAll(worker('a', 4));
    const store = storeOf();
    const two = tenant('t', { maxSessions: 2 });
    await atOnce(2, () => take(store, { tenant: two }));
    const refusal = { kind: 'refused', reason: 'tenant_sessions' };
    expect(await store.acquire(request({ tenant: two }))).toEqual({
      ...refusal,
      retryAfterMs: undefined,
    });
    await redis.hset(fleetKeys(fleet).flow, { mean: 9_000, count: 3 });
    expect(await store.acquire(request({ tenant: two }))).toEqual({
      ...refusal,
      retryAfterMs: 4_500,
    });
  });

  it('come back with their workers when Redis has lost its data', async () => {
    await registerAll(worker('a', 4));
    const leases = await takeMany(storeOf(), 3);
    await server.restart();
    await Promise.all(connections.map(ready));
    await registryOf().register(worker('a', 4), servedBy(leases, 'a'));
    expect(await sessions()).toBe(3);
    expect(await outcome(storeOf(), { tenant: tenant('t', { maxSessions: 3 }) })).toBe(
      'tenant_sessions',
    );
    const [lease] = leases as [Lease, ...Lease[]];
    expect(await storeOf().verify(lease.token, 'a', lease.epoch, 's', 't')).toBe('valid');
    expect(await storeOf().verify(lease.token, 'a', lease.epoch, 's', 'u')).toBe('lease_unknown');
    for (const one of leases) await storeOf().release(one);
    expect(await auditedUse()).toEqual({});
    expect(await sessions()).toBe(0);
  });
});

describe("a tenant's new sessions", () => {
  const busy = tenant('t', { sessionsPerSecond: 5 });

  it('may come in a burst of two seconds, then at their rate, and are told the exact time', async () => {
    await registerAll(worker('a', 64));
    const store = storeOf();
    const startMs = Date.now();
    const burst = await atOnce(40, () => store.acquire(request({ tenant: busy })));
    const passed = burst.filter(({ kind }) => kind === 'granted').length;
    expect(passed).toBeGreaterThanOrEqual(10);
    expect(passed).toBeLessThanOrEqual(10 + Math.ceil((Date.now() - startMs) / 200));
    const refusal = await store.acquire(request({ tenant: busy }));
    if (refusal.kind !== 'refused') throw new Error('granted too many');
    expect(refusal.reason).toBe('tenant_rate');
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(200);
    const untilMs = Date.now() + (refusal.retryAfterMs ?? 0) + 1;
    await until(() => Date.now() > untilMs);
    expect(await outcome(store, { tenant: busy })).toBe('a');
    expect(await outcome(store, { tenant: tenant('other', { sessionsPerSecond: 5 }) })).toBe('a');
  });

  it('are not counted when refused, nor a second time when asked for again', async () => {
    const slow = tenant('t', { sessionsPerSecond: 0.01 });
    const store = storeOf();
    expect(await outcome(store, { tenant: slow })).toBe('no_workers');
    const one = request({ tenant: slow });
    for (let i = 0; i < 3; i += 1) expect(await store.enter(one)).toMatchObject({ position: 1 });
    const refusal = await store.enter(request({ tenant: slow }));
    expect(refusal).toMatchObject({ reason: 'tenant_rate' });
    if (refusal.kind === 'refused')
      expect(Math.abs((refusal.retryAfterMs ?? 0) - 100_000)).toBeLessThan(2_000);
    await registerAll(worker('a', 1));
    expect(granted(await store.enter(one)).workerId).toBe('a');
  });

  it('are none when a session comes back to the line, moves, or resumes', async () => {
    await registerAll(worker('a', 1), worker('b', 1));
    const slow = tenant('t', { sessionsPerSecond: 0.01 });
    const store = storeOf();
    const lease = await take(store, { tenant: slow });
    expect(await outcome(store, { tenant: slow })).toBe('tenant_rate');
    expect(await outcome(store, { tenant: slow, replaces: lease.token, exclude: ['a'] })).toBe('b');
    expect(await outcome(store, { tenant: slow, resumes: true })).toBe('a');
    expect(await store.enter(request({ tenant: slow }), { waitedMs: 500 })).toMatchObject({
      position: 1,
    });
  });

  it('are forgotten when the bucket is full again', async () => {
    await registerAll(worker('a', 8));
    await take(storeOf(), { tenant: tenant('fast', { sessionsPerSecond: 200 }) });
    await until(async () => {
      await take(storeOf(), { tenant: tenant('t', { sessionsPerSecond: 1_000 }) }).then((lease) =>
        storeOf().release(lease),
      );
      return (await redis.zscore(fleetKeys(fleet).rates, 'fast')) === null;
    });
    expect(await redis.zcard(fleetKeys(fleet).rates)).toBeLessThanOrEqual(2);
  });
});

describe('a session that moves', () => {
  const one = tenant('t', { maxSessions: 1, sessionsPerSecond: 0.01 });

  it('has one lease before and after, and its tenant one session', async () => {
    await registerAll(worker('a', 1), worker('b', 1));
    const store = storeOf();
    const lease = await take(store, { tenant: one });
    const move = request({
      tenant: one,
      replaces: lease.token,
      exclude: ['a'],
      minEpoch: lease.epoch,
    });
    const moved = granted(await store.acquire(move));
    expect([moved.workerId, moved.epoch > lease.epoch]).toEqual(['b', true]);
    expect(granted(await store.acquire(move))).toEqual(moved);
    expect(await store.renew([lease, moved])).toEqual(['lost', 'renewed']);
    expect(await store.release(lease)).toBe(false);
    expect(await auditedUse()).toEqual({ b: 1 });
    expect(await sessions()).toBe(1);
  });

  it('keeps what it has as it is while there is nothing else', async () => {
    await registerAll(worker('a', 1), worker('b', 1));
    const store = storeOf();
    const lease = await take(store, { tenant: one });
    const other = await take(store, { tenant: tenant('other') });
    const endMs = await endsAt(lease);
    const move = request({ tenant: one, replaces: lease.token, exclude: ['a'] });
    expect(await store.acquire(move)).toMatchObject({ reason: 'full' });
    expect(await store.enter(move)).toMatchObject({ position: 1 });
    expect(await endsAt(lease)).toBe(endMs);
    expect(await store.verify(lease.token, 'a', lease.epoch, 's', 't')).toBe('valid');
    expect(await sessions()).toBe(1);
    await auditedUse();
    await store.release(other);
    expect(await store.poll([move.token])).toMatchObject([{ lease: { workerId: 'b' } }]);
    expect(await store.renew([lease])).toEqual(['lost']);
    expect(await auditedUse()).toEqual({ b: 1 });
    expect(await sessions()).toBe(1);
  });

  it('goes before those who wait, and its old slot to the next of them', async () => {
    await registerAll(worker('a', 1), worker('b', 1));
    const store = storeOf();
    const leases = await takeMany(store, 2);
    const onA = leases.find(({ workerId }) => workerId === 'a') as Lease;
    const waiter = request();
    await store.enter(waiter);
    const move = request({ replaces: onA.token, exclude: ['a'] });
    expect(await store.enter(move)).toMatchObject({ position: 1 });
    await store.release(leases.find(({ workerId }) => workerId === 'b') as Lease);
    const states = await store.poll([move.token, waiter.token]);
    expect(states).toMatchObject([{ lease: { workerId: 'b' } }, { lease: { workerId: 'a' } }]);
    await expectNoSlotIdle();
    expect(await auditedUse()).toEqual({ a: 1, b: 1 });
  });

  it.each([
    ['ends', async (lease: Lease) => void (await storeOf().release(lease))],
    ['runs out', async () => until(async () => (await registryOf().capacity()).leased === 0)],
  ])('keeps the place of its tenant when the old lease %s meanwhile', async (_how, end) => {
    await registerAll(worker('a', 1));
    const lease = await take(storeOf({ claimTtlMs: 200 }), { tenant: one });
    const move = request({ tenant: one, replaces: lease.token, exclude: ['a'] });
    expect(await storeOf().enter(move)).toMatchObject({ position: 1 });
    await end(lease);
    expect(await outcome(storeOf(), { tenant: { ...one, sessionsPerSecond: 0 } })).toBe(
      'tenant_sessions',
    );
    await auditedUse();
    await storeOf().abandon(move.token);
    expect(await sessions()).toBe(0);
    expect(await auditedUse()).toEqual({});
  });

  it('leaves its tenant as it was when it gives the move up', async () => {
    await registerAll(worker('a', 1));
    const lease = await take(storeOf(), { tenant: one });
    const move = request({ tenant: one, replaces: lease.token, exclude: ['a'] });
    await storeOf().enter(move);
    await storeOf().abandon(move.token);
    expect(await sessions()).toBe(1);
    await storeOf().release(lease);
    expect(await sessions()).toBe(0);
    await auditedUse();
  });

  it('is held to the limit of its tenant when its lease is gone, as is one that resumes', async () => {
    await registerAll(worker('a', 4));
    const store = storeOf();
    await take(store, { tenant: one });
    const foreign = await take(store, { tenant: tenant('other'), sessionId: 'theirs' });
    for (const over of [{ replaces: 'gone' }, { replaces: foreign.token }, { resumes: true }])
      expect(await outcome(store, { tenant: one, ...over })).toBe('tenant_sessions');
    expect(await store.renew([foreign])).toEqual(['renewed']);
  });

  it('gives its old slot in the same step to one that has been passed over', async () => {
    await registerAll(worker('c', 1));
    const store = storeOf();
    const [first, second] = [tenant('one'), tenant('two')];
    const onC = await take(store, { tenant: first });
    await registerAll(worker('a', 1));
    const onA = await take(store, { tenant: second });
    await registerAll(worker('b', 1));
    const onB = await take(store);
    const picky = { tenant: first, replaces: onC.token, exclude: ['b', 'c'] };
    await store.enter(request(picky));
    await store.enter(request({ tenant: second, replaces: onA.token, exclude: ['a'] }));
    await store.release(onB);
    expect(await auditedUse()).toEqual({ a: 1, b: 1 });
  });

  it('moves from the line when the fleet is at its limit, and has lasted since its first lease', async () => {
    await registerAll(worker('a', 2));
    const store = storeOf({ maxLeases: 2 });
    const [lease] = (await takeMany(store, 2)) as [Lease];
    const since = async ({ token }: Pick<Lease, 'token'>): Promise<number> => {
      const json = (await redis.hget(fleetKeys(fleet).leaseData, token)) ?? '{}';
      return (JSON.parse(json) as { since: number }).since;
    };
    const startMs = await since(lease);
    const move = request({ replaces: lease.token, exclude: ['a'] });
    for (const one of [move, request()])
      expect(await store.enter(one)).toMatchObject({ kind: 'waiting' });
    await until(() => Date.now() > startMs + 2);
    await registerAll(worker('b', 2));
    expect(await auditedUse()).toEqual({ a: 1, b: 1 });
    expect(await since(move)).toBe(startMs);
    expect((await registryOf().capacity()).waiting).toBe(1);
  });

  it('moves also when the fleet has as many leases as it may, never one more', async () => {
    await registerAll(worker('a', 2), worker('b', 2));
    const store = storeOf({ maxLeases: 2 });
    const leases = await takeMany(store, 2);
    const [lease] = leases as [Lease];
    const over = { replaces: lease.token, exclude: ['a'] };
    expect(await outcome(store, { resumes: true })).toBe('limit');
    expect(await outcome(store, over)).toBe('b');
    expect((await registryOf().capacity()).leased).toBe(2);
  });

  it('never has two leases nor none when three gateways race to move it', async () => {
    await registerAll(worker('a', 1), worker('b', 30));
    const lease = await take(storeOf());
    const stores = connections.map((connection) => storeOf({ ttlMs: LONG_MS }, connection));
    let running = true;
    const watch = async (): Promise<void> => {
      while (running) expect((await registryOf().capacity()).leased).toBe(1);
    };
    const watching = watch();
    let token = lease.token;
    for (let round = 0; round < 20; round += 1) {
      const move = request({ replaces: token });
      const got = await Promise.all(stores.map((store) => store.acquire(move)));
      token = granted(got[0] as (typeof got)[number]).token;
    }
    running = false;
    await watching;
    expect(await sessions()).toBe(1);
    await auditedUse();
  });
});

describe('a session that moves or was left', () => {
  const one = tenant('t');

  it('moves to its own worker when no other slot is free, unless it passes that over', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store, { tenant: one });
    const move = { tenant: one, replaces: lease.token };
    expect(await outcome(store, { ...move, exclude: ['a'] })).toBe('no_workers');
    const moved = await take(store, { ...move, minEpoch: lease.epoch });
    expect([moved.workerId, moved.epoch > lease.epoch]).toEqual(['a', true]);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('is not brought back by a worker that wakes up with its lease', async () => {
    await registerAll(worker('a', 2), worker('b', 2));
    const store = storeOf();
    const moved = await take(store, { tenant: one, sessionId: 's' });
    const released = await take(store, { tenant: one, sessionId: 's' });
    await take(store, { tenant: one, sessionId: 's', replaces: moved.token, exclude: ['a'] });
    await store.release(released);
    await registryOf().deregister('a');
    await registryOf().register(worker('a', 2), servedBy([moved, released], 'a'));
    expect(await auditedUse()).toEqual({ b: 1 });
  });

  it('of a tenant waits no longer for its bucket than an empty one takes, whatever the rate was before', async () => {
    await registerAll(worker('a', 8));
    const store = storeOf();
    await take(store, { tenant: tenant('t', { sessionsPerSecond: 0.001 }) });
    const raised = tenant('t', { sessionsPerSecond: 100 });
    const refused = await store.acquire(request({ tenant: raised }));
    if (refused.kind === 'refused') expect(refused.retryAfterMs).toBeLessThanOrEqual(10);
    await until(async () => (await outcome(store, { tenant: raised })) === 'a');
  });
});
