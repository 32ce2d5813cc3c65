import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { type Principal, TenantLimits } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { UpgradeRefusal } from '@voice-fleet/runtime/upgrade';
import { createLogger } from '@voice-fleet/telemetry/logger';
import type { Dialect } from '../dialects/dialect.ts';
import { Dialects } from '../dialects/dialects.ts';
import { GatewayMetrics } from '../metrics.ts';
import { UpgradeGate } from './upgrade-gate.ts';
import type { HoldOutcome } from './upgrade-gate-hold.ts';

const PRINCIPAL: Principal = {
  tenantId: 't',
  keyId: 'k',
  scopes: ['stream'],
  limits: TenantLimits.parse({ maxSessions: 9 }),
};

const dialect = (name: string, admission: Dialect['admission']): Dialect => ({
  name,
  paths: [`/${name}`],
  admission,
  handshake: (query) => ({
    apiKey: query.get('key') ?? '',
    resumable: false,
    acks: false,
    waitMs: 0,
    ...(query.has('resume') && { resume: { token: 'r', lastSeq: 0 } }),
  }),
  codec: () => {
    throw new Error('no frame comes that far');
  },
});

interface Request {
  readonly socket: EventEmitter;
}

describe('UpgradeGate', () => {
  let metrics: GatewayMetrics;
  let gate: UpgradeGate;
  /** What a step throws, by its name. */
  let faults: Record<string, Error>;
  let outcome: HoldOutcome;
  let settled: number;
  let random: number;
  let gone: AbortController;
  let held: { waitMs: number; signal: AbortSignal; model: string | undefined }[];

  const step = async (name: string): Promise<void> => {
    const fault = faults[name];
    if (fault !== undefined) throw fault;
  };

  const gateOf = (maxPending: number, maxConnections: number): UpgradeGate =>
    new UpgradeGate({
      dialects: new Dialects([dialect('talk', 'socket'), dialect('sdk', 'upgrade')]),
      limits: { maxPending, maxConnections, holdMs: 60_000 },
      authenticator: { authenticate: () => step('key').then(() => PRINCIPAL) },
      models: { resolve: () => step('model').then(() => 'ears') },
      dailyAudio: { expectLeft: () => step('quota') },
      store: { look: () => step('tenant').then(() => ({ sessions: 0 })) },
      hold: {
        size: 0,
        wait: async (waitMs, signal, model) => {
          held.push({ waitMs, signal, model });
          await step('hold');
          return outcome;
        },
      },
      metrics,
      log: createLogger('gateway', 'error', { write: () => undefined }),
      random: () => random,
    });

  beforeEach(() => {
    metrics = new GatewayMetrics(['talk', 'sdk']);
    faults = {};
    settled = 0;
    outcome = {
      kind: 'passed',
      settled: () => {
        settled += 1;
      },
    };
    random = 0;
    gone = new AbortController();
    held = [];
    gate = gateOf(2, 0);
  });

  const request = (): Request => ({ socket: new EventEmitter() });
  const check = (url: string, of: Request = request()) =>
    gate.check({ ...of, url, headers: {} } as unknown as IncomingMessage, gone.signal);
  const admit = (of: Request): void => gate.admitted(of as unknown as IncomingMessage);
  const refused = async (url: string): Promise<UpgradeRefusal> => {
    const refusal = await check(url);
    if (refusal === undefined) throw new Error('let through');
    return refusal;
  };
  const metric = async (line: string): Promise<number> => {
    const page = await metrics.registry.metrics();
    return Number(
      page
        .split('\n')
        .find((one) => one.startsWith(`${line} `))
        ?.split(' ')[1],
    );
  };
  const refusals = (reason: string): Promise<number> =>
    metric(`voice_gateway_upgrades_refused_total{reason="${reason}"}`);

  it('lets a dialect that is admitted on the socket through without a question', () => {
    faults['key'] = new VoiceError('authentication_failed');
    expect(check('/talk?key=x')).toBeUndefined();
  });

  it('answers an unknown path in the form of all HTTP errors', async () => {
    expect(check('/walk?key=x')).toEqual({
      status: 404,
      headers: { 'X-Request-Id': expect.any(String) },
      body: {
        error: {
          code: 'not_found',
          message: 'There is no WebSocket endpoint at /walk.',
          details: {},
        },
      },
    });
    expect(await refusals('unknown_path')).toBe(1);
  });

  it('refuses more pending sockets than it may have, until one is admitted or closed', async () => {
    const [first, second] = [request(), request()];
    expect([check('/talk', first), check('/talk', second)]).toEqual([undefined, undefined]);
    const refusal = await refused('/talk');
    expect([refusal.status, refusal.headers]).toMatchObject([503, { 'Retry-After': '5' }]);
    expect(refusal.body).toMatchObject({
      error: { code: 'fleet_unavailable', details: { retry_after_s: 5 } },
    });
    expect(await refusals('too_many_pending')).toBe(1);
    admit(first);
    expect(check('/talk')).toBeUndefined();
    expect(check('/talk')).toMatchObject({ status: 503 });
    second.socket.emit('close');
    expect(check('/talk')).toBeUndefined();
    expect(await metric('voice_gateway_connections{state="admitted"}')).toBe(1);
    expect(await metric('voice_gateway_connections{state="pending"}')).toBe(2);
    first.socket.emit('close');
    expect(await metric('voice_gateway_connections{state="admitted"}')).toBe(0);
  });

  it('counts admitted sockets where connections are limited', async () => {
    gate = gateOf(100, 2);
    const first = request();
    expect(check('/talk', first)).toBeUndefined();
    admit(first);
    await check('/sdk');
    expect(check('/talk')).toMatchObject({ status: 503 });
    expect(await refusals('too_many_connections')).toBe(1);
    first.socket.emit('close');
    expect(check('/talk')).toBeUndefined();
  });

  it('spreads the times to come again, and names none above a minute', async () => {
    const retryS = async (code: 'session_rate_limited' | 'at_capacity', known?: number) => {
      faults['tenant'] = new VoiceError(code, {
        details: known === undefined ? {} : { retry_after_s: known },
      });
      gate = gateOf(2, 0);
      const { headers } = await refused('/sdk');
      return Number(headers?.['Retry-After']);
    };
    expect(await retryS('at_capacity')).toBe(5);
    expect(await retryS('session_rate_limited', 0.2)).toBe(1);
    expect(await retryS('session_rate_limited', 3600)).toBe(30);
    random = 0.999;
    expect(await retryS('at_capacity')).toBe(10);
    expect(await retryS('session_rate_limited', 7)).toBe(14);
    expect(await retryS('session_rate_limited', 3600)).toBe(60);
  });

  it.each([
    ['key', 401, new VoiceError('authentication_failed'), 'auth', 'rejected_auth'],
    ['key', 403, new VoiceError('scope_missing'), 'auth', 'rejected_auth'],
    ['model', 404, new VoiceError('model_not_found'), 'error', 'rejected_request'],
    ['quota', 429, new VoiceError('audio_quota_exhausted'), 'tenant_limit', 'rejected_limit'],
    ['tenant', 429, new VoiceError('too_many_sessions'), 'tenant_limit', 'rejected_limit'],
    ['tenant', 503, new RedisUnavailable('gone'), 'unavailable', 'error'],
    ['hold', 503, new RedisUnavailable('gone'), 'unavailable', 'error'],
    ['hold', 500, new TypeError('a fault of ours'), 'error', 'error'],
  ])(
    'answers a fault in the step %s with %i',
    async (where, status, fault, reason, outcomeLabel) => {
      faults[where] = fault;
      const refusal = await refused('/sdk');
      expect(refusal.status).toBe(status);
      expect(await refusals(reason)).toBe(1);
      const admissions = `voice_gateway_admissions_total{protocol="sdk",outcome="${outcomeLabel}"}`;
      expect(await metric(admissions)).toBe(1);
      expect('Retry-After' in (refusal.headers ?? {})).toBe(status === 429 || status === 503);
      expect(JSON.stringify(refusal.body)).not.toContain('a fault of ours');
    },
  );

  it.each([
    ['full', 'at_capacity', 'capacity'],
    ['no_workers', 'fleet_unavailable', 'unavailable'],
  ] as const)('answers %s with 503', async (kind, code, reason) => {
    outcome = { kind };
    expect(await refused('/sdk')).toMatchObject({ status: 503, body: { error: { code } } });
    expect(await refusals(reason)).toBe(1);
  });

  it('holds no longer than five seconds, whatever is configured', async () => {
    await check('/sdk');
    expect(held[0]).toMatchObject({ waitMs: 5_000, model: 'ears' });
  });

  it('asks no slot for a session that comes back', async () => {
    faults['tenant'] = new VoiceError('too_many_sessions');
    expect(await check('/sdk?resume=1')).toBeUndefined();
    expect(held).toEqual([]);
  });

  it('gives back what a client passed for when it is admitted, or when it has gone', async () => {
    const [first, second, third] = [request(), request(), request()];
    await check('/sdk', first);
    await check('/sdk', second);
    expect(settled).toBe(0);
    admit(first);
    first.socket.emit('close');
    expect(settled).toBe(1);
    second.socket.emit('close');
    expect(settled).toBe(2);
    const late = check('/sdk', third);
    third.socket.emit('close');
    await late;
    expect(settled).toBe(3);
  });

  it('counts a client that has gone as abandoned, not as refused', async () => {
    faults['hold'] = new Error('aborted');
    gone.abort();
    expect(await check('/sdk')).toBeUndefined();
    const admissions = 'voice_gateway_admissions_total{protocol="sdk",outcome="abandoned"}';
    expect([await metric(admissions), await refusals('error')]).toEqual([1, 0]);
  });

  it('holds nobody any more when it is stopped', async () => {
    await check('/sdk');
    expect(held[0]?.signal.aborted).toBe(false);
    gate.stop();
    expect(held[0]?.signal.aborted).toBe(true);
    await check('/sdk');
    expect(held[1]?.signal.aborted).toBe(true);
    expect(held[1]?.signal.reason).toMatchObject({ code: 'fleet_unavailable' });
  });
});
