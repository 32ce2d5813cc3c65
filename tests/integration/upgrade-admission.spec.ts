import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import type { Dialect } from '@voice-fleet/gateway/dialects/dialect';
import { startGateway } from '@voice-fleet/gateway/gateway';
import { parseEnv } from '@voice-fleet/runtime/env';
import { createLogger } from '@voice-fleet/telemetry/logger';
import type { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

const PATH = '/v1/test-sdk';

/** Tells of its session, and of nothing else but errors. */
const SDK: Dialect = {
  name: 'test-sdk',
  paths: [PATH],
  admission: 'upgrade',
  handshake: (_, headers) => ({
    apiKey: String(headers['x-key'] ?? ''),
    resumable: false,
    acks: false,
    waitMs: 0,
  }),
  codec: () => ({
    decode: () => ({ kind: 'end' }),
    encode: (event) => {
      if (event.kind === 'error') return [`error ${event.error.code}`];
      return event.kind === 'created' || event.kind === 'ended' ? [event.kind] : [];
    },
    close: () => ({ code: 1000, reason: '' }),
  }),
};

interface Refusal {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly error: { code: string; details: { retry_after_s?: number } };
  readonly atMs: number;
  /** As a stopwatch has it. */
  readonly tookMs: number;
}

/** One upgrade under way. */
class Dial {
  readonly socket: WebSocket;
  readonly frames: string[] = [];
  readonly opened: Promise<void>;
  readonly refused: Promise<Refusal>;

  constructor(port: number, key: string) {
    const sinceMs = performance.now();
    const took = stopwatch();
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${PATH}`, { headers: { 'x-key': key } });
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) => this.frames.push(data.toString()));
    this.opened = once(this.socket, 'open').then(() => void took());
    this.opened.catch(() => undefined);
    this.refused = once(this.socket, 'unexpected-response').then(async ([, response]) => {
      const { statusCode: status = 0, headers } = response as IncomingMessage;
      let text = '';
      for await (const chunk of response as IncomingMessage) text += String(chunk);
      const { error } = JSON.parse(text) as { error: Refusal['error'] };
      return { status, headers, error, atMs: performance.now() - sinceMs, tookMs: took() };
    });
    this.refused.catch(() => undefined);
  }

  created(): Promise<void> {
    return until(() => this.frames.includes('created'), 'a session is created');
  }
}

describe('a dialect that is admitted before its upgrade is answered', () => {
  let fleet: Fleet;
  let redis: Redis;
  let dials: Dial[];

  beforeEach(async () => {
    dials = [];
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    redis = connectRedis(fleet.redis.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
    await untilReady(redis, AbortSignal.timeout(5_000));
    await fleet.gateways.splice(0)[0]?.close();
  });
  afterEach(async () => {
    for (const { socket } of dials) socket.terminate();
    redis.disconnect();
    await fleet[Symbol.asyncDispose]();
  });

  async function gateway(env: Record<string, string> = {}): Promise<void> {
    const settings = {
      VOXTRAL_API_KEY: KEY,
      REDIS_URL: fleet.redis.url,
      SERVER_BIND_HOST: '127.0.0.1',
      INTERNAL_BIND_HOST: '127.0.0.1',
      SERVER_PORT: '0',
      INTERNAL_PORT: '0',
      ...env,
    };
    const quiet = createLogger('gateway', 'error', { write: () => undefined });
    fleet.gateways.push(await startGateway(parseEnv(GatewayEnv, settings), quiet, [SDK]));
    await until(
      async () => (await fleet.get('/readyz')).body['workers'] === 1,
      'it knows a worker',
    );
  }

  function dial(key = KEY): Dial {
    const made = new Dial(fleet.gateways[0]?.port ?? 0, key);
    dials.push(made);
    return made;
  }

  const leased = async (): Promise<unknown> => (await fleet.get('/readyz')).body['leased'];
  const held = (count: number): Promise<void> =>
    until(
      async () => (await fleet.metrics()).includes(`connections{state="held"} ${count}\n`),
      `${count} upgrades are held`,
    );

  function expectRetry({ headers, error }: Refusal): void {
    const retryS = Number(headers['retry-after']);
    expect(retryS).toBeGreaterThanOrEqual(1);
    expect(retryS).toBeLessThanOrEqual(60);
    expect(error.details.retry_after_s).toBe(retryS);
  }

  it('gets 101 and a session when a slot is free', async () => {
    await gateway();
    const client = dial();
    await client.created();
    client.socket.send('bye');
    await until(async () => (await leased()) === 0, 'the slot is free again');
    expect(client.frames).toEqual(['created', 'ended']);
  });

  it('gets 401 for a wrong key, without Redis being asked', async () => {
    await gateway();
    await fleet.redis.stop();
    const refusal = await dial('wrong').refused;
    expect([refusal.status, refusal.error.code]).toEqual([401, 'authentication_failed']);
    expect(refusal.headers['www-authenticate']).toBe('Bearer');
    expect(refusal.headers['content-type']).toBe('application/json');
  });

  it('gets 403 for a key without the scope', async () => {
    await gateway();
    const tenants = new TenantStore(redis);
    await tenants.createTenant('acme');
    const { secret } = await tenants.createKey('acme', { scopes: ['usage'] });
    const refusal = await dial(secret).refused;
    expect([refusal.status, refusal.error.code]).toEqual([403, 'scope_missing']);
  });

  it('gets 429 with a time to come again for the limits of its tenant, however full the fleet is', async () => {
    await gateway();
    const tenants = new TenantStore(redis);
    await tenants.createTenant('acme', { limits: { maxSessions: 1 } });
    await tenants.createTenant('fast', { limits: { sessionsPerSecond: 0.02 } });
    const [acme, fast] = await Promise.all(
      ['acme', 'fast'].map(async (id) => (await tenants.createKey(id)).secret),
    );
    await dial(acme).created();
    const many = await dial(acme).refused;
    expect([many.status, many.error.code]).toEqual([429, 'too_many_sessions']);
    expectRetry(many);
    for (const { socket } of dials) socket.terminate();
    await until(async () => (await leased()) === 0, 'the slot is free');
    await dial(fast).created();
    const often = await dial(fast).refused;
    expect([often.status, often.error.code]).toEqual([429, 'session_rate_limited']);
    expectRetry(often);
    expect(often.tookMs).toBeLessThan(1_000);
    expect(await fleet.metrics()).toContain('upgrades_refused_total{reason="tenant_limit"} 2\n');
  });

  it('is held while the fleet is full, and gets the slot that becomes free', async () => {
    await gateway();
    const first = dial();
    await first.created();
    const second = dial();
    await held(1);
    expect(second.socket.readyState).toBe(WebSocket.CONNECTING);
    first.socket.terminate();
    await second.created();
    expect(second.frames).toEqual(['created']);
  });

  it('is told 503 and when to come again, if none does', async () => {
    await gateway({ ADMISSION_HOLD_S: '0.4' });
    await dial().created();
    const refusals = await Promise.all(Array.from({ length: 20 }, () => dial().refused));
    for (const refusal of refusals) {
      expect([refusal.status, refusal.error.code]).toEqual([503, 'at_capacity']);
      expectRetry(refusal);
      expect(refusal.atMs).toBeGreaterThan(390);
      expect(refusal.tookMs).toBeLessThan(2_000);
    }
    // Spread, so that they do not all come back together.
    expect(new Set(refusals.map(({ headers }) => headers['retry-after'])).size).toBeGreaterThan(1);
    expect(await fleet.metrics()).toContain('upgrades_refused_total{reason="capacity"} 20\n');
  });

  it('leaves nothing when it goes away while it is held', async () => {
    await gateway();
    const first = dial();
    await first.created();
    const others = [dial(), dial(), dial()];
    await held(3);
    for (const { socket } of others) socket.terminate();
    await held(0);
    first.socket.terminate();
    await until(async () => (await leased()) === 0, 'the slot is free');
    await until(
      async () => (await fleet.metrics()).includes('state="admitted"} 0\n'),
      'no socket is left',
    );
    const page = await fleet.metrics();
    expect(page).toContain('voice_gateway_connections{state="pending"} 0\n');
    expect(page).toContain('admissions_total{protocol="test-sdk",outcome="abandoned"} 3\n');
    expect(page).toContain('admissions_total{protocol="test-sdk",outcome="accepted"} 1\n');
  });

  it('is turned away at once while Redis does not answer', async () => {
    await gateway();
    fleet.redis.freeze();
    try {
      const refusal = await dial().refused;
      expect([refusal.status, refusal.error.code]).toEqual([503, 'fleet_unavailable']);
      expectRetry(refusal);
      expect(refusal.tookMs).toBeLessThan(3_000);
    } finally {
      fleet.redis.thaw();
    }
  });

  it('is turned away at once when its gateway stops', async () => {
    await gateway();
    await dial().created();
    const waiting = dial();
    await held(1);
    const took = stopwatch();
    const closing = fleet.gateways[0]?.close();
    expect((await waiting.refused).status).toBe(503);
    expect(took()).toBeLessThan(1_000);
    await closing;
  });

  it('waits in line on its open socket, hearing nothing, when the free slot was none', async () => {
    await fleet.workers.splice(0)[0]?.close();
    await new WorkerRegistry(redis, { fleet: 'default', beatTtlMs: 60_000 }).register(
      {
        workerId: 'gone',
        address: '127.0.0.1:1',
        model: 'm',
        engine: 'none',
        slots: 1,
        state: 'ready',
      },
      [],
    );
    await gateway({ ADMISSION_HOLD_S: '0' });
    const client = dial();
    await client.opened;
    await until(
      async () => (await fleet.metrics()).includes('voice_gateway_sessions_waiting 1\n'),
      'it waits in line',
    );
    expect(client.frames).toEqual([]);
    await fleet.addWorker(new ScriptedEngine({ slots: 1 }));
    await client.created();
    expect(client.frames).toEqual(['created']);
  });
});
