import { describe, expect, it } from '@jest/globals';
import { type ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { GatewayEnv } from './config.ts';

describe('the environment of the gateway', () => {
  it('may be empty; then it has the defaults of the protocol', () => {
    const config = parseEnv(GatewayEnv, {});
    expect(config).toMatchObject({
      host: '0.0.0.0',
      port: 8000,
      internalPort: 9100,
      logLevel: 'info',
      redisUrl: 'redis://127.0.0.1:6379',
      fleet: 'default',
      placement: { policy: 'packing', weights: new Map(), closedPools: [] },
      leaseTtlMs: 10_000,
      apiKey: '',
      maxSessions: 0,
      maxMessageBytes: 1_048_576,
      maxBytesPerS: 1_048_576,
      upgrades: { maxPending: 2048, maxConnections: 0, holdMs: 5_000 },
      headersTimeoutMs: 10_000,
    });
    expect(config.limits).toMatchObject({
      idleTimeoutMs: 150_000,
      maxDurationMs: 5_400_000,
      watchdogTickMs: 5_000,
      inboundQueueMax: 256,
    });
    expect(config.yap).toEqual({
      unauthorizedCode: 1008,
      busyCode: 1013,
      idleReason: 'idle_timeout',
    });
    expect(config.link.inboundQueueMax).toBe(256);
  });

  it.each(['0', 'none', 'null', 'OFF', 'disabled'])('has no timeouts with %s', (off) => {
    const { limits } = parseEnv(GatewayEnv, {
      WS_IDLE_TIMEOUT_S: off,
      WS_MAX_CONNECTION_DURATION_S: off,
    });
    expect([limits.idleTimeoutMs, limits.maxDurationMs]).toEqual([undefined, undefined]);
  });

  it('has no rate limits unless they are switched on', () => {
    const limits = { WS_MAX_MESSAGES_PER_WINDOW: '7', WS_MAX_CANCELS_PER_WINDOW: '3' };
    const off = parseEnv(GatewayEnv, limits).limits;
    expect([off.messagesPerWindow, off.cancelsPerWindow]).toEqual([0, 0]);
    const on = parseEnv(GatewayEnv, { ...limits, WS_RATE_LIMIT: '1' }).limits;
    expect([on.messagesPerWindow, on.cancelsPerWindow]).toEqual([7, 3]);
  });

  it('hands the limit of waiting frames to session and link alike', () => {
    const { limits, link } = parseEnv(GatewayEnv, { WS_INBOUND_QUEUE_MAX: '12' });
    expect([limits.inboundQueueMax, link.inboundQueueMax]).toEqual([12, 12]);
  });

  it.each([
    ['SERVER_PORT', '-1'],
    ['FLEET_PLACEMENT', 'random'],
    ['FLEET_POOLS', 'a,b c'],
    ['FLEET_WARMUP_S', '4000'],
    ['FLEET_POOL_WARMUP_S', '{"a": -1}'],
    ['FLEET_POOL_WARMUP_S', 'a=1'],
    ['FLEET_POOL_WEIGHTS', 'canary=5'],
    ['FLEET_POOL_WEIGHTS', '[1]'],
    ['FLEET_POOL_WEIGHTS', '{"canary": -1}'],
    ['FLEET_POOL_WEIGHTS', '{"canary": 0.5}'],
    ['FLEET_POOL_WEIGHTS', '{"canary": "5"}'],
    ['FLEET_POOL_WEIGHTS', '{"canary": 1000001}'],
    ['FLEET_POOL_WEIGHTS', '{"ca/nary": 1}'],
    ['FLEET_NAME', 'a b'],
    ['REDIS_URL', 'http://x'],
    ['MAX_CONCURRENT_CONNECTIONS', '-2'],
    ['WS_IDLE_TIMEOUT_S', 'soon'],
    ['WS_WATCHDOG_TICK_S', '0'],
    ['WS_INBOUND_QUEUE_MAX', '0'],
    ['WS_CLOSE_BUSY_CODE', '999'],
    ['WS_CLOSE_UNAUTHORIZED_CODE', '5000'],
    ['WS_RATE_LIMIT', 'sometimes'],
    ['LEASE_TTL_S', '1000'],
    ['WS_MAX_BYTES_PER_S', '-1'],
    ['WS_MAX_PENDING', '0'],
    ['WS_MAX_CONNECTIONS', 'many'],
    ['HTTP_HEADERS_TIMEOUT_S', '0'],
  ])('refuses %s=%s, naming the variable', (variable, value) => {
    expect.assertions(1);
    try {
      parseEnv(GatewayEnv, { [variable]: value });
    } catch (error) {
      expect((error as ConfigError).faults.map((fault) => fault.variable)).toEqual([variable]);
    }
  });

  it('never shows the value of a secret in a fault', () => {
    expect(() => parseEnv(GatewayEnv, { REDIS_URL: 'http://user:hunter2@x' })).toThrow(
      /^invalid configuration: REDIS_URL must match \S+$/,
    );
  });

  it.each(['1005', '1015', '2999'])(
    'refuses the close code %s, which no endpoint may send',
    (code) => {
      expect(() => parseEnv(GatewayEnv, { WS_CLOSE_BUSY_CODE: code })).toThrow(
        /WS_CLOSE_BUSY_CODE must be/,
      );
    },
  );
});
