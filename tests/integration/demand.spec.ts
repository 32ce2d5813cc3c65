import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DemandLedger } from '@voice-fleet/fleet/demand-ledger';
import { askedKey } from '@voice-fleet/fleet/keys';
import { connectRedis } from '@voice-fleet/fleet/redis';
import type { Redis } from 'ioredis';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const NOTHING = { waiting: {}, refused: {}, came: {} };

describe('the demand for slots', () => {
  let fleet: Fleet;
  let redis: Redis;
  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], { FLEET_POOLS: 'spare' });
    redis = connectRedis(fleet.redis.url, { onError: () => undefined });
    await fleet.addGateway({ FLEET_POOLS: 'spare' });
  });
  afterAll(async () => {
    redis?.disconnect();
    await fleet?.[Symbol.asyncDispose]();
  });

  /** What a gateway tells of each pool. */
  const told = async (gateway: number, metric: string): Promise<Record<string, number>> => {
    const port = fleet.gateways[gateway]?.internalPort;
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const found = page.matchAll(new RegExp(`^${metric}\\{pool="([^"]+)"\\} (.+)$`, 'gm'));
    return Object.fromEntries([...found].map(([, pool, value]) => [pool, Number(value)]));
  };
  const bothTell = (metric: string, pools: Record<string, number>): Promise<void> =>
    until(
      async () => {
        const seen = JSON.stringify(pools);
        const [one, other] = await Promise.all([told(0, metric), told(1, metric)]);
        return JSON.stringify(one) === seen && JSON.stringify(other) === seen;
      },
      `both gateways tell ${metric} ${JSON.stringify(pools)}`,
    );

  it('is told by each gateway alike: who runs at any, and who was refused by any', async () => {
    await fleet.client();
    await fleet.client({ gateway: 1 });
    const refused = fleet.dial();
    await refused.closed;
    await bothTell('voice_fleet_demand_slots', { spare: 0, default: 3 });
    await bothTell('voice_fleet_slots', { spare: 0, default: 2 });
    await bothTell('voice_fleet_leased_slots', { spare: 0, default: 2 });
  });

  it('is told in spite of notes that cannot be read, and of none that are old', async () => {
    const ledger = new DemandLedger(redis, { fleet: 'default' });
    const key = askedKey('default');
    await redis.hset(key, 'newer', `${Date.now()} {"waiting":7}`);
    await redis.hset(key, 'gone', `${Date.now() - 60_000} ${JSON.stringify(NOTHING)}`);
    const notes = await ledger.exchange('mine', { ...NOTHING, came: { m: 3 } });
    expect(notes.get('mine')).toEqual({ ...NOTHING, came: { m: 3 } });
    expect([...notes.keys()]).not.toContain('newer');
    expect([...notes.keys()]).not.toContain('gone');
    expect(await redis.hexists(key, 'gone')).toBe(0);
    expect(await redis.pttl(key)).toBeGreaterThan(0);
  });

  it('is that of a pool without workers, once a client was refused as there is none', async () => {
    for (const socket of fleet.sockets) socket.terminate();
    await fleet.workers[0]?.close();
    const refused = fleet.dial();
    await refused.closed;
    await until(async () => {
      const demand = await told(1, 'voice_fleet_demand_slots');
      return (demand['spare'] ?? 0) >= 1 && Object.keys(demand).length === 1;
    }, 'the other gateway wants a worker of the spare pool');
  });

  it('is not told at all while Redis is away: it is never 0 then', async () => {
    await fleet.redis.stop();
    await bothTell('voice_fleet_demand_slots', {});
    await bothTell('voice_fleet_slots', {});
  });
});
