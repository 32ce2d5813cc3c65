import { describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Charge } from '@voice-fleet/fleet/session-record';
import { chargedKey, usageKey } from '@voice-fleet/fleet/sessions/session-keys';
import { SessionStore } from '@voice-fleet/fleet/sessions/session-store';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { dayName, dayNumber } from '@voice-fleet/fleet/sessions/utc-day';
import { startRedis } from '@voice-fleet/testkit/redis';
import { connect, connections, fleet, ready, redis, until } from '../support/pool.ts';
import { newSession, opened, saveOf } from './session-store.fixture.ts';

const DAY_S = 86_400;

async function redisDay(connection = redis): Promise<string> {
  const [seconds] = await connection.time();
  return dayName(Math.floor(Number(seconds) / DAY_S));
}

describe('UsageLedger', () => {
  const charge = (over: Partial<Charge> = {}): Charge => ({
    ...newSession(),
    acceptedSamples: 0,
    ...over,
  });

  it('books the highest offset of each session, in whatever order and how often it is charged', async () => {
    const ledger = new UsageLedger(redis);
    const one = charge();
    const { tenantId } = one;
    const totals: number[] = [];
    for (const acceptedSamples of [100, 100, 350, 200, 349, 350, 351]) {
      const [booking] = await ledger.charge([{ ...one, acceptedSamples }]);
      totals.push(booking?.samplesToday ?? -1);
    }
    expect(totals).toEqual([100, 100, 350, 350, 350, 350, 351]);
    expect(await ledger.today(tenantId)).toEqual({ day: await redisDay(), samplesToday: 351 });
  });

  it('tells the audio of the whole tenant, and of no other', async () => {
    const ledger = new UsageLedger(redis);
    const [a, b] = [newSession(), newSession()];
    const bookings = await ledger.charge([
      charge({ ...a, acceptedSamples: 10 }),
      charge({ ...a, sessionId: 'sess_x', acceptedSamples: 5 }),
      charge({ ...b, acceptedSamples: 7 }),
    ]);
    expect(bookings.map(({ samplesToday }) => samplesToday)).toEqual([10, 15, 7]);
    expect((await ledger.today('nobody')).samplesToday).toBe(0);
    expect(await ledger.charge([])).toEqual([]);
  });

  it('books on the key of the session, and counts each session once', async () => {
    const ledger = new UsageLedger(redis);
    const { tenantId } = newSession();
    const sessions = ['k2', 'k1', 'k1'].map((keyId) => newSession({ tenantId, keyId }));
    for (const part of [1, 2])
      await ledger.charge(sessions.map((one) => ({ ...one, acceptedSamples: part * 1_000 })));
    await ledger.charge([{ ...newSession({ tenantId, keyId: 'k3' }), acceptedSamples: 0 }]);
    const day = await redisDay();
    expect(await ledger.usage(tenantId, { fromDay: day, toDay: day })).toEqual([
      { day, keyId: 'k1', samples: 4_000, sessions: 2 },
      { day, keyId: 'k2', samples: 2_000, sessions: 1 },
    ]);
  });

  it('answers in the order of the charges, for more than fit into one call', async () => {
    const charges = Array.from({ length: 450 }, (_, index) => charge({ acceptedSamples: index }));
    const bookings = await new UsageLedger(redis).charge(charges);
    expect(bookings.map(({ samplesToday }) => samplesToday)).toEqual(
      charges.map(({ acceptedSamples }) => acceptedSamples),
    );
  });

  it('books a session that lasts over midnight on both days, and counts it on both', async () => {
    const ledger = new UsageLedger(redis);
    const one = charge();
    await ledger.charge([{ ...one, acceptedSamples: 1_000 }]);
    // As if those had been booked the day before.
    const today = await redisDay();
    const yesterday = (dayNumber(today) ?? 0) - 1;
    await redis.hset(chargedKey(one.sessionId), 'day', yesterday);
    await redis.rename(usageKey(one.tenantId, today), usageKey(one.tenantId, dayName(yesterday)));
    const [booking] = await ledger.charge([{ ...one, acceptedSamples: 1_600 }]);
    expect(booking).toEqual({ day: today, samplesToday: 600 });
    const days = { fromDay: dayName(yesterday - 3), toDay: today };
    expect(await ledger.usage(one.tenantId, days)).toEqual([
      { day: dayName(yesterday), keyId: 'key', samples: 1_000, sessions: 1 },
      { day: today, keyId: 'key', samples: 600, sessions: 1 },
    ]);
  });

  it('shares its books with the saves of sessions: neither books what the other has', async () => {
    const ledger = new UsageLedger(redis);
    const store = new SessionStore(redis, { fleet });
    const { session, holder } = await opened(store);
    const save = (acceptedSamples: number): Promise<string> =>
      store.save(saveOf(session.sessionId, { acceptedSamples }), holder);
    await save(100);
    await ledger.charge([{ ...session, acceptedSamples: 100 }]);
    await ledger.charge([{ ...session, acceptedSamples: 180 }]);
    await save(150);
    await save(200);
    const day = await redisDay();
    const rows = await ledger.usage(session.tenantId, { fromDay: day, toDay: day });
    expect(rows).toEqual([{ day, keyId: 'key', samples: 200, sessions: 1 }]);
  });

  it('forgets a session after 48 hours without a charge, and a day after 400', async () => {
    const ledger = new UsageLedger(redis);
    const one = charge({ acceptedSamples: 5 });
    const { sessionId, tenantId } = one;
    await ledger.charge([one]);
    await redis.expire(chargedKey(sessionId), 10);
    await ledger.charge([one]);
    expect(await redis.ttl(chargedKey(sessionId))).toBeGreaterThan(48 * 3_600 - 5);
    expect(await redis.ttl(chargedKey(sessionId))).toBeLessThanOrEqual(48 * 3_600);
    const leftS = await redis.ttl(usageKey(tenantId, await redisDay()));
    expect(leftS).toBeGreaterThan(400 * DAY_S - 5);
    expect(leftS).toBeLessThanOrEqual(401 * DAY_S);
  });

  it('does not forget sooner what is asked for or charged with nothing', async () => {
    const ledger = new UsageLedger(redis);
    const one = charge();
    await ledger.charge([one]);
    await ledger.today(one.tenantId);
    expect(await redis.exists(chargedKey(one.sessionId))).toBe(0);
    expect(await redis.exists(usageKey(one.tenantId, await redisDay()))).toBe(0);
  });

  it('refuses days that are none, and more than are kept', async () => {
    const ledger = new UsageLedger(redis);
    const ask = (fromDay: string, toDay: string): Promise<unknown> =>
      ledger.usage('t', { fromDay, toDay });
    await expect(ask('2026-02-30', '2026-03-01')).rejects.toThrow(RangeError);
    await expect(ask('2025-01-01', '2026-03-01')).rejects.toThrow(RangeError);
    expect(await ask('2025-01-01', '2026-02-04')).toEqual([]);
    expect(await ask('2026-01-02', '2026-01-01')).toEqual([]);
  });

  it('is exact when gateways die between booking and hearing of it', async () => {
    const { tenantId } = newSession();
    const sessions = Array.from({ length: 30 }, () => newSession({ tenantId }));
    const upTo = (part: number): Charge[] =>
      sessions.map((one, index) => ({ ...one, acceptedSamples: part * (index + 1) }));
    for (const part of [10, 20, 30]) {
      const dying = await connect(`redis://127.0.0.1:${connections[0]?.options.port}`);
      const unheard = new UsageLedger(dying).charge(upTo(part)).catch((error: unknown) => error);
      dying.disconnect();
      await unheard;
      await new UsageLedger(redis).charge(upTo(part));
    }
    const { samplesToday } = await new UsageLedger(redis).today(tenantId);
    expect(samplesToday).toBe(30 * (30 * 31) * 0.5);
  });

  it('is RedisUnavailable while Redis is away; one that comes back empty gets the whole offset', async () => {
    const own = await startRedis();
    const connection = await connect(own.url);
    try {
      const ledger = new UsageLedger(connection);
      const one = charge();
      await ledger.charge([{ ...one, acceptedSamples: 700 }]);
      await own.kill();
      const more = [{ ...one, acceptedSamples: 900 }];
      await expect(ledger.charge(more)).rejects.toThrow(RedisUnavailable);
      await expect(ledger.today(one.tenantId)).rejects.toThrow(RedisUnavailable);
      const day = { fromDay: '2026-01-01', toDay: '2026-01-02' };
      await expect(ledger.usage(one.tenantId, day)).rejects.toThrow(RedisUnavailable);
      await own.restart();
      await ready(connection);
      expect((await ledger.charge(more))[0]?.samplesToday).toBe(900);
      own.freeze();
      await expect(ledger.charge(more)).rejects.toThrow(RedisUnavailable);
      own.thaw();
      await until(async () => (await connection.ping().catch(() => '')) === 'PONG');
      expect((await ledger.charge(more))[0]?.samplesToday).toBe(900);
    } finally {
      own.thaw();
      connection.disconnect();
      await own.stop();
    }
  });
});

describe('a cluster', () => {
  it('takes sessions and usage, for their keys share a slot and are all declared', async () => {
    const own = await startRedis({ 'cluster-enabled': 'yes' });
    const node = await connect(own.url);
    try {
      await node.cluster('ADDSLOTSRANGE', 0, 16_383);
      await until(async () => String(await node.cluster('INFO')).includes('cluster_state:ok'));
      const store = new SessionStore(node, { fleet });
      const { session, token, holder } = await opened(store);
      const { sessionId, tenantId } = session;
      const save = saveOf(sessionId, { frames: ['f'], acceptedSamples: 9 });
      expect(await store.save(save, holder)).toBe('saved');
      const ledger = new UsageLedger(node);
      const others = [newSession(), newSession()];
      await ledger.charge(others.map((one) => ({ ...one, acceptedSamples: 1 })));
      expect((await ledger.today(tenantId)).samplesToday).toBe(9);
      const day = await redisDay(node);
      expect(await ledger.usage(tenantId, { fromDay: day, toDay: day })).toHaveLength(1);
      expect(await store.resume(token, tenantId, 0)).toMatchObject({ kind: 'resumed' });
      expect(await store.end(sessionId, 2)).toBe(true);
    } finally {
      node.disconnect();
      await own.stop();
    }
  });
});
