import { describe, expect, it } from '@jest/globals';
import { fleetKeys } from '@voice-fleet/fleet/keys';
import type { Lease, LeaseRequest, LinePriority, TenantClaim } from '@voice-fleet/fleet/lease';
import type { LeaseStore } from '@voice-fleet/fleet/lease-store';
import {
  atOnce,
  auditedUse,
  connect,
  connections,
  expectNoSlotIdle,
  fleet,
  granted,
  outcome,
  RACE_TIMEOUT_MS,
  redis,
  registerAll,
  registryOf,
  request,
  SHORT_MS,
  server,
  storeOf,
  take,
  takeMany,
  tenant,
  until,
  worker,
} from '../support/pool.ts';

/** Enters one request after the other; returns their tokens. */
async function enterMany(
  store: LeaseStore,
  count: number,
  claim: TenantClaim = tenant(),
  over: Partial<LeaseRequest> = {},
): Promise<string[]> {
  const tokens: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const one = request({ tenant: claim, ...over });
    expect(await store.enter(one)).toMatchObject({ kind: 'waiting' });
    tokens.push(one.token);
  }
  return tokens;
}

/** One slot that its holders pass on: releases what was granted last and says who has it next, until nobody waits. */
async function serveAll(
  store: LeaseStore,
  first: Lease,
  names: ReadonlyMap<string, string>,
  served: (name: string) => Promise<unknown> = async () => undefined,
): Promise<string[]> {
  const order: string[] = [];
  for (let lease: Lease | undefined = first; lease !== undefined; ) {
    await store.release(lease);
    const [token] = await redis.hkeys(fleetKeys(fleet).leaseData);
    const [state] = token === undefined ? [] : await store.poll([token]);
    lease = state?.kind === 'granted' ? state.lease : undefined;
    if (lease === undefined) break;
    order.push(names.get(lease.token) ?? 'stranger');
    await served(order.at(-1) as string);
  }
  return order;
}

const named = (...groups: (readonly [string, readonly string[]])[]): Map<string, string> =>
  new Map(groups.flatMap(([name, tokens]) => tokens.map((token) => [token, name] as const)));

const share = (order: readonly string[], name: string): number =>
  order.filter((one) => one === name).length / order.length;

const flow = (): Promise<Record<string, string>> => redis.hgetall(fleetKeys(fleet).flow);

describe('the waiting line', () => {
  it('gives each slot that gets free to the one that has waited longest, and says so on its channel', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store);
    const messages: string[] = [];
    const subscriber = await connect(server.url);
    await subscriber.subscribe(store.grantsChannel);
    subscriber.on('message', (_channel: string, message: string) => messages.push(message));
    try {
      const tokens = await enterMany(store, 5);
      expect(await store.poll(tokens)).toMatchObject(
        [1, 2, 3, 4, 5].map((position) => ({ position })),
      );
      expect((await registryOf().capacity()).waiting).toBe(5);
      const names = new Map(tokens.map((token, index) => [token, String(index)]));
      expect(await serveAll(store, lease, names, auditedUse)).toEqual(['0', '1', '2', '3', '4']);
      await until(() => messages.length === 5);
      expect(JSON.parse(messages[0] as string)).toEqual([tokens[0], 'a', 'ws://a', 'voxtral', 2]);
    } finally {
      subscriber.disconnect();
    }
    expect((await registryOf().capacity()).waiting).toBe(0);
  });

  it('lets nobody overtake: what a newcomer frees goes to those who wait', async () => {
    await registerAll(worker('a', 1));
    // Held for long enough that the next finds it taken, also on a busy machine.
    await take(storeOf({ claimTtlMs: 2_000 }));
    const [token] = await enterMany(storeOf(), 1);
    await until(async () => (await registryOf().capacity()).leased === 0);
    expect(await outcome(storeOf())).toBe('full');
    expect(await storeOf().poll([token as string])).toMatchObject([{ kind: 'granted' }]);
  });

  it('returns the same ticket or lease for the same token, however often it is entered', async () => {
    await registerAll(worker('a', 1));
    const lease = await take(storeOf());
    const again = request();
    const stores = connections.map((connection) => storeOf({}, connection));
    const enter = () => Promise.all(stores.map((store) => atOnce(5, () => store.enter(again))));
    for (const one of (await enter()).flat()) expect(one).toMatchObject({ position: 1 });
    await storeOf().release(lease);
    for (const one of (await enter()).flat()) expect(one).toMatchObject({ lease: { epoch: 2 } });
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('fills a worker that comes, or offers more slots, from the line at once', async () => {
    const store = storeOf();
    const tokens = await enterMany(store, 5);
    await registerAll(worker('a', 2));
    expect(await auditedUse()).toEqual({ a: 2 });
    await registryOf().beat(worker('a', 4));
    expect(await auditedUse()).toEqual({ a: 4 });
    expect(await store.poll(tokens)).toMatchObject([
      ...Array(4).fill({ kind: 'granted' }),
      { position: 1 },
    ]);
  });

  it('ends tickets that nobody polls, and skips them before that', async () => {
    await registerAll(worker('a', 1));
    const lease = await take(storeOf());
    const dead = await enterMany(storeOf({ ticketTtlMs: SHORT_MS }), 40);
    const [live] = await enterMany(storeOf(), 1);
    await until(async () => (await registryOf().capacity()).waiting === 1);
    await storeOf().release(lease);
    expect(await storeOf().poll([live as string])).toMatchObject([{ kind: 'granted' }]);
    await until(async () => {
      await storeOf().poll([]);
      return (await redis.hlen(fleetKeys(fleet).tickets)) === 0;
    });
    expect(await storeOf().poll(dead)).toEqual(dead.map(() => ({ kind: 'gone' })));
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('gives a grant that nobody claims to the next', async () => {
    await registerAll(worker('a', 1));
    const lease = await take(storeOf());
    await enterMany(storeOf({ claimTtlMs: SHORT_MS, ticketTtlMs: SHORT_MS }), 1);
    const [live] = await enterMany(storeOf(), 1);
    await storeOf().release(lease);
    await until(async () => (await storeOf().poll([live as string]))[0]?.kind === 'granted');
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('gives a grant its claim time anew when it is polled, as its message was late', async () => {
    await registerAll(worker('a', 1));
    const lease = await take(storeOf());
    const [token] = (await enterMany(storeOf({ claimTtlMs: 1_000 }), 1)) as [string];
    await storeOf().release(lease);
    const endMs = async (): Promise<number> =>
      Number(await redis.zscore(fleetKeys(fleet).leases, token));
    const beforeMs = await endMs();
    expect(await storeOf().poll([token])).toMatchObject([{ kind: 'granted' }]);
    expect((await endMs()) - beforeMs).toBeGreaterThan(30_000);
  });

  it('is left at once: by a ticket, and by the lease that was granted to it', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store);
    const [first, second, third] = await enterMany(store, 3);
    expect(await store.abandon(first as string)).toBe(true);
    expect(await store.abandon(first as string)).toBe(false);
    await store.release(lease);
    expect(await store.abandon(second as string)).toBe(true);
    expect(await store.poll([third as string])).toMatchObject([{ kind: 'granted' }]);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('is left by a last acquire, which takes what there is', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf();
    const lease = await take(store);
    const [late, lucky] = [request(), request()];
    for (const one of [late, lucky]) await store.enter(one);
    expect(await store.acquire(late)).toMatchObject({ kind: 'refused', reason: 'full' });
    await store.release(lease);
    expect(granted(await store.acquire(lucky)).workerId).toBe('a');
    expect((await registryOf().capacity()).waiting).toBe(0);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('is not held up by one that passes over the free worker', async () => {
    await registerAll(worker('a', 1), worker('b', 1));
    const store = storeOf();
    const leases = await takeMany(store, 2);
    const onA = leases.find(({ workerId }) => workerId === 'a') as Lease;
    const [picky] = await enterMany(store, 1, tenant('one'), { exclude: ['a'] });
    const [next] = await enterMany(store, 1, tenant('one'));
    const [other] = await enterMany(store, 1, tenant('two'));
    await store.release(onA);
    const tokens = [picky, next, other] as string[];
    const states = [{ position: 2 }, { kind: 'granted' }, { position: 1 }];
    expect(await store.poll(tokens)).toMatchObject(states);
    for (const lease of leases) await store.release(lease);
    const [last] = await store.poll([picky as string]);
    expect(last).toMatchObject({ position: 1 });
    await expectNoSlotIdle();
    await registerAll(worker('c', 1));
    expect(await store.poll([picky as string])).toMatchObject([{ lease: { workerId: 'c' } }]);
    await auditedUse();
  });

  it('lets a newcomer have what nobody in line may have', async () => {
    await registerAll(worker('a', 1));
    await enterMany(storeOf(), 1, tenant(), { exclude: ['a'] });
    expect(await outcome(storeOf())).toBe('a');
  });

  it('keeps to the limit of the fleet, and goes on when a lease ends', async () => {
    await registerAll(worker('a', 4));
    const store = storeOf({ maxLeases: 1 });
    const lease = await take(store);
    const [token] = await enterMany(store, 1);
    expect(await outcome(store)).toBe('limit');
    await registryOf().beat(worker('a', 4));
    expect(await store.poll([token as string])).toMatchObject([{ position: 1 }]);
    await store.release(lease);
    expect(await store.poll([token as string])).toMatchObject([{ kind: 'granted' }]);
    expect(await auditedUse()).toEqual({ a: 1 });
  });

  it('is bounded for newcomers, not for moves', async () => {
    await registerAll(worker('a', 1));
    const store = storeOf({ maxWaiting: 3 });
    const lease = await take(store);
    await enterMany(store, 3);
    await redis.hset(fleetKeys(fleet).flow, { mean: 7_000, count: 32 });
    const refusal = { kind: 'refused', reason: 'line_full', retryAfterMs: 4 * 7_000 };
    expect(await store.enter(request())).toEqual(refusal);
    await redis.hset(fleetKeys(fleet).flow, { mean: 600_000 });
    expect(await store.enter(request())).toEqual({ ...refusal, retryAfterMs: 60_000 });
    expect(await store.enter(request({ replaces: lease.token, exclude: ['a'] }))).toMatchObject({
      position: 1,
    });
    await auditedUse();
  });

  it('estimates by how long leases have lasted, and by nothing else', async () => {
    await registerAll(worker('a', 4));
    const store = storeOf();
    const leases = await takeMany(store, 4);
    expect(await store.enter(request())).toEqual({
      kind: 'waiting',
      position: 1,
      estimateMs: undefined,
    });
    expect(await store.acquire(request())).toMatchObject({
      reason: 'full',
      retryAfterMs: undefined,
    });
    const startMs = Date.now();
    await until(() => Date.now() > startMs + SHORT_MS);
    await store.release(leases[0] as Lease);
    const meanMs = Number((await flow())['mean']);
    expect(meanMs).toBeGreaterThanOrEqual(SHORT_MS);
    expect(meanMs).toBeLessThan(Date.now() - startMs + 1_000);
    await redis.hset(fleetKeys(fleet).flow, { mean: 8_000, count: 1 });
    const [first, second] = await enterMany(store, 2);
    expect(await store.poll([first, second] as string[])).toMatchObject([
      { estimateMs: 2_000 },
      { estimateMs: 4_000 },
    ]);
    expect(await store.acquire(request())).toMatchObject({ retryAfterMs: 6_000 });
    await store.release(leases[1] as Lease);
    const { mean, count } = await flow();
    expect([Number(mean) < 4_500, Number(mean) > 4_000, count]).toEqual([true, true, '2']);
  });
});

describe('fairness', () => {
  const slot = async (store: LeaseStore): Promise<Lease> => {
    await registerAll(worker('a', 1));
    return take(store, { tenant: tenant('holder') });
  };

  it('gives one with five tickets half of the grants against one with two hundred', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const many = await enterMany(store, 200, tenant('a'));
    const few = await enterMany(store, 5, tenant('b'));
    expect(await store.poll(few)).toMatchObject([2, 4, 6, 8, 10].map((position) => ({ position })));
    const order = await serveAll(store, lease, named(['a', many], ['b', few]));
    expect(order).toHaveLength(205);
    expect(share(order.slice(0, order.lastIndexOf('b') + 1), 'b')).toBeGreaterThanOrEqual(0.45);
  });

  it('shares by weight', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const light = await enterMany(store, 40, tenant('a', { weight: 1 }));
    const heavy = await enterMany(store, 40, tenant('b', { weight: 3 }));
    const order = await serveAll(store, lease, named(['a', light], ['b', heavy]));
    for (const count of [12, 24, 48])
      expect(Math.abs(share(order.slice(0, count), 'b') - 0.75)).toBeLessThan(1.5 / count);
  });

  it('is kept among three tenants who come back again and again', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const names = new Map<string, string>();
    const enter = async (name: string): Promise<void> => {
      for (const token of await enterMany(store, 1, tenant(name))) names.set(token, name);
    };
    for (const [name, count] of [
      ['a', 30],
      ['b', 3],
      ['c', 1],
    ] as const)
      for (let i = 0; i < count; i += 1) await enter(name);
    let left = 120;
    const order = await serveAll(store, lease, names, async (name) => {
      left -= 1;
      if (left > 0) await enter(name);
    });
    const shares = ['a', 'b', 'c'].map((name) => share(order.slice(0, 90), name));
    const sum = shares.reduce((total, one) => total + one);
    const jain = sum ** 2 / (3 * shares.reduce((total, one) => total + one ** 2, 0));
    expect(jain).toBeGreaterThan(0.95);
    await auditedUse();
  });

  it('gives nothing to those who leave it and come back', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const light = tenant('a', { weight: 0.25 });
    const names = named(
      ['a', await enterMany(store, 1, light)],
      ['b', await enterMany(store, 20, tenant('b'))],
    );
    const order = await serveAll(store, lease, names, async (name) => {
      if (name === 'a' && names.size < 30)
        for (const token of await enterMany(store, 1, light)) names.set(token, 'a');
    });
    expect(order.slice(0, 15).filter((name) => name === 'a')).toHaveLength(3);
  });

  it('does not let those wait longer who have left tickets behind them', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const quitters = await enterMany(store, 50, tenant('a'));
    const others = await enterMany(store, 10, tenant('b'));
    for (const token of quitters.slice(0, 49)) await store.abandon(token);
    expect(await store.poll(quitters.slice(49))).toMatchObject([{ position: 1 }]);
    const order = await serveAll(store, lease, named(['a', quitters], ['b', others]));
    expect(order.slice(0, 2)).toContain('a');
  });

  it('lets a session go first that comes back soon, and in its own class later', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const tenantId = tenant('late', { priority: 'low' });
    const [waiting] = await enterMany(store, 1);
    const back = async (replaces: string): Promise<unknown> =>
      store.enter(request({ tenant: tenantId, resumes: true, replaces }));
    await redis.zadd(fleetKeys(fleet).givenUp, Date.now() + 59_000, 'just-left');
    await redis.zadd(fleetKeys(fleet).givenUp, Date.now() + 20_000, 'long-left');
    expect(await back('just-left')).toMatchObject({ position: 1 });
    expect(await back('long-left')).toMatchObject({ position: 3 });
    expect(await back('never-heard-of')).toMatchObject({ position: 4 });
    expect(await store.poll([waiting ?? ''])).toMatchObject([{ position: 2 }]);
    await store.release(lease);
  });

  it('serves the higher priority first, and moves before all', async () => {
    const store = storeOf();
    const lease = await slot(store);
    const groups: [string, string[]][] = [];
    for (const priority of ['low', 'normal', 'high'] satisfies LinePriority[])
      groups.push([priority, await enterMany(store, 2, tenant(priority, { priority }))]);
    groups.push([
      'move',
      await enterMany(store, 2, tenant('low', { priority: 'low' }), { replaces: 'gone' }),
    ]);
    await enterMany(store, 1, tenant('low', { priority: 'low' })).then((tokens) =>
      groups.push(['last', tokens]),
    );
    const expected = ['move', 'move', 'high', 'high', 'normal', 'normal', 'low', 'low', 'last'];
    const positions = await store.poll(groups.flatMap(([, tokens]) => tokens));
    expect(positions).toMatchObject([7, 8, 5, 6, 3, 4, 1, 2, 9].map((position) => ({ position })));
    expect(await serveAll(store, lease, named(...groups))).toEqual(expected);
  });
});

describe('a race for the line', () => {
  it('books every slot and every tenant exactly at every instant', async () => {
    await registerAll(...['a', 'b', 'c'].map((id) => worker(id, 8)));
    // Not the connection of the audits, which would wait behind all of this.
    // So many at once wait for each other, and on a busy machine for longer than a gateway would.
    const gateways = await Promise.all(
      connections.map(() => connect(server.url, [], RACE_TIMEOUT_MS)),
    );
    const stores = gateways.map((connection) => storeOf({}, connection));
    const tenants = ['x', 'y', 'z'].map((id) => tenant(id, { maxSessions: 40 }));
    let audits = 0;
    const audit = async (): Promise<void> => {
      for (const count of Object.values(await auditedUse())) expect(count).toBeLessThanOrEqual(8);
      const places = Object.values(await redis.hgetall(fleetKeys(fleet).tenants)).map(Number);
      expect(Math.max(0, ...places)).toBeLessThanOrEqual(40);
      audits += 1;
    };
    const session = async (store: LeaseStore, index: number): Promise<string> => {
      const one = request({ tenant: tenants[index % 3] as TenantClaim });
      if (index % 11 === 0) await audit();
      const first = index % 4 === 0 ? await store.acquire(one) : await store.enter(one);
      if (first.kind === 'refused') return first.reason;
      if (index % 5 === 0) {
        await store.abandon(one.token);
        return 'abandoned';
      }
      let lease = first.kind === 'granted' ? first.lease : undefined;
      while (lease === undefined) {
        const [state] = await store.poll([one.token]);
        if (state?.kind === 'granted') lease = state.lease;
        else if (state?.kind === 'gone') throw new Error('lost a ticket');
      }
      if (index % 3 === 0) await audit();
      if (index % 2 === 0) {
        const moved = await store.acquire(
          request({ tenant: one.tenant, replaces: lease.token, exclude: [lease.workerId] }),
        );
        if (moved.kind === 'granted') lease = moved.lease;
      }
      await store.release(lease);
      return 'served';
    };
    const ends = await Promise.all(
      stores.map((store) => atOnce(330, (index) => session(store, index))),
    );
    for (const connection of gateways) connection.disconnect();
    const count = (end: string): number => ends.flat().filter((one) => one === end).length;
    expect(count('served')).toBeGreaterThan(60);
    expect(count('served') + count('abandoned') + count('full') + count('tenant_sessions')).toBe(
      990,
    );
    expect(audits).toBeGreaterThan(20);
    await expectNoSlotIdle();
    expect(await auditedUse()).toEqual({});
    expect(await redis.hgetall(fleetKeys(fleet).tenants)).toEqual({});
  });
});
