import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import type { TenantLimits } from '@voice-fleet/fleet/tenant';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import type { Redis } from 'ioredis';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

let fleet: Fleet;
let redis: Redis;
let tenants: TenantStore;

/** A key of a new tenant. */
async function tenantKey(id: string, limits: Partial<TenantLimits> = {}) {
  await tenants.createTenant(id, { limits });
  const { key, secret } = await tenants.createKey(id);
  return { keyId: key.id, secret };
}

const dial = (secret: string, more = '', gateway = 0): YapSocket =>
  fleet.dial({ query: `?api_key=${secret}${more}`, gateway });

async function admitted(secret: string, more = '', gateway = 0): Promise<YapSocket> {
  const socket = dial(secret, more, gateway);
  await socket.next('session.created');
  return socket;
}

async function refusal(socket: YapSocket): Promise<[string, number]> {
  const { payload } = await socket.next('error');
  return [payload.details.reason_code, (await socket.closed).code];
}

const kinds = (socket: YapSocket): string[] =>
  socket.received.flatMap((frame) => (frame.type === 'status' ? [frame.payload.kind] : []));

describe('a tenant at the gateways', () => {
  beforeEach(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 4 })]);
    await fleet.addGateway();
    await until(async () => (await fleet.get('/readyz', 1)).status === 200, 'both are ready');
    redis = connectRedis(fleet.redis.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
    await untilReady(redis, AbortSignal.timeout(5_000));
    tenants = new TenantStore(redis);
  });
  afterEach(async () => {
    redis.disconnect();
    await fleet[Symbol.asyncDispose]();
  });

  it('has as many sessions as it may over all gateways, and a place again when one ends', async () => {
    const { secret } = await tenantKey('small', { maxSessions: 2 });
    const one = await admitted(secret);
    await admitted(secret, '', 1);
    expect(await refusal(dial(secret))).toEqual(['too_many_sessions', 1013]);
    expect(await refusal(dial(secret, '&wait=5', 1))).toEqual(['too_many_sessions', 1013]);
    one.send('end', 'bye');
    await one.closed;
    await admitted(secret, '', 1);
    expect(await fleet.metrics()).toContain('outcome="rejected_limit"} 1');
  });

  it('is warned by each session that is opened near its limit', async () => {
    const { secret } = await tenantKey('near', { maxSessions: 4 });
    const sockets = [];
    for (let nth = 0; nth < 4; nth += 1) sockets.push(await admitted(secret, '', nth % 2));
    for (const socket of sockets) await socket.settled();
    expect(sockets.map(kinds)).toEqual([[], [], [], ['limit_warning']]);
    expect(sockets[3]?.received.find((frame) => frame.type === 'status')?.payload).toEqual({
      kind: 'limit_warning',
      limit: 'concurrent_sessions',
      used: 4,
      max: 4,
    });
  });

  it('opens no more sessions in a second than it may', async () => {
    const { secret } = await tenantKey('slow', { sessionsPerSecond: 1 });
    const outcomes = await Promise.all(
      range(0, 4).map(async (nth) => {
        const socket = dial(secret, '', nth % 2);
        return Promise.race([
          socket.next('session.created').then(
            () => 'admitted',
            () => 'refused',
          ),
          socket.next('error').then(
            ({ payload }) => payload.details.reason_code,
            () => 'admitted',
          ),
        ]);
      }),
    );
    expect(outcomes.sort()).toEqual([
      'admitted',
      'admitted',
      'session_rate_limited',
      'session_rate_limited',
      'session_rate_limited',
    ]);
  });

  it('loses its sockets within two seconds of the revocation of their key, and no other', async () => {
    const { keyId, secret } = await tenantKey('leaky');
    const other = await tenants.createKey('leaky');
    const sockets = [await admitted(secret), await admitted(secret, '&resumable=1', 1)];
    const kept = await admitted(other.secret);
    const took = stopwatch();
    await tenants.revokeKey(keyId);
    for (const socket of sockets) expect(await refusal(socket)).toEqual(['key_revoked', 1008]);
    expect(took()).toBeLessThan(2_000);
    await kept.settled();
    expect(await refusal(dial(secret))).toEqual(['key_revoked', 1008]);
  });

  it('is warned of its daily audio, then hears its last words and is sent away; other tenants are not', async () => {
    const { secret } = await tenantKey('metered', { audioMinutesPerDay: 0.1 });
    const socket = await admitted(secret);
    const said = speak(range(1, 15));
    socket.start('a');
    for (const frame of frames(speak(range(1, 13)))) socket.append('a', frame);
    await until(() => kinds(socket).length > 0, 'it is warned');
    for (const frame of frames(said.subarray(speak(range(1, 13)).length)))
      socket.append('a', frame);
    expect((await socket.next('final')).payload.normalized_text).toBe(transcript(range(1, 15)));
    expect(await refusal(socket)).toEqual(['audio_quota_exhausted', 1008]);
    expect(kinds(socket)).toEqual(['limit_warning', 'limit_warning']);
    expect(await refusal(dial(secret, '', 1))).toEqual(['audio_quota_exhausted', 1008]);
    await admitted((await tenantKey('free')).secret);
  });

  it('has sessions of its own length, of which it is warned', async () => {
    const { secret } = await tenantKey('short', { maxSessionS: 1 });
    await fleet.addGateway({ WS_WATCHDOG_TICK_S: '0.05' });
    await until(async () => (await fleet.get('/readyz', 2)).status === 200, 'it is ready');
    const socket = await admitted(secret, '', 2);
    expect((await socket.closed).code).toBe(4003);
    expect(kinds(socket)).toEqual(['limit_warning', 'limit_warning']);
  });

  it('waits in line with its place in sight, and gets the next slot', async () => {
    const { secret } = await tenantKey('patient');
    const holders = await Promise.all(range(1, 4).map(() => admitted(secret)));
    const first = dial(secret, '&wait=20');
    await first.next('status');
    const second = dial(secret, '&wait=20&resumable=1', 1);
    const { payload } = await second.next('status');
    expect(payload).toMatchObject({ kind: 'queued', position: 2 });
    expect(await refusal(dial(secret))).toEqual(['server_at_capacity', 1013]);
    holders[0]?.terminate();
    await first.next('session.created');
    second.start('a');
    second.append('a', speak([1, 2]));
    second.finalize('a');
    holders[1]?.send('end', 'bye');
    await second.next('session.created');
    expect((await second.next('final')).payload.normalized_text).toBe('w1 w2');
  });

  it('is held for a moment when it did not ask to wait, and leaves the line when it goes', async () => {
    await fleet.addGateway({ ADMISSION_HOLD_S: '1' });
    await until(async () => (await fleet.get('/readyz', 2)).status === 200, 'it is ready');
    const { secret } = await tenantKey('held');
    const holders = await Promise.all(range(1, 4).map(() => admitted(secret)));
    const impatient = dial(secret, '', 2);
    await new Promise((resolve) => impatient.socket.once('open', resolve));
    const held = dial(secret, '', 2);
    await new Promise((resolve) => held.socket.once('open', resolve));
    await until(async () => {
      const page = await (
        await fetch(`http://127.0.0.1:${fleet.gateways[2]?.internalPort}/metrics`)
      ).text();
      return page.includes('voice_gateway_sessions_waiting 2');
    }, 'both wait');
    impatient.terminate();
    holders[0]?.send('end', 'bye');
    await held.next('session.created');
    expect(await refusal(dial(secret, '', 2))).toEqual(['server_at_capacity', 1013]);
  });
});
