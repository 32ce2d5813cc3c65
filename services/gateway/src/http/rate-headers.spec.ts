import { describe, expect, it } from '@jest/globals';
import type { TenantRoom } from '@voice-fleet/fleet/lease';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { type Principal, TenantLimits } from '@voice-fleet/fleet/tenant';
import { duration, RateHeaders } from './rate-headers.ts';

const tenant = (limits: object): Principal => ({
  tenantId: 't',
  keyId: 'k',
  scopes: ['stream'],
  limits: TenantLimits.parse(limits),
});
const told = async (limits: object, room: TenantRoom): Promise<Record<string, string>> =>
  Object.fromEntries(await new RateHeaders({ look: async () => room }).of(tenant(limits)));

describe('headers of a tenant’s limits', () => {
  it('tell how many more requests there may be at once, this one not among them', async () => {
    expect(await told({ maxSessions: 5 }, { sessions: 2 })).toEqual({
      'x-ratelimit-limit-requests': '5',
      'x-ratelimit-remaining-requests': '2',
      'x-ratelimit-reset-requests': '0ms',
    });
  });

  it('tell when a tenant at its limit may come again', async () => {
    const refusal = {
      kind: 'refused',
      reason: 'tenant_sessions',
      retryAfterMs: 90_000,
    } as const;
    expect(await told({ maxSessions: 1 }, { sessions: 1, refusal })).toMatchObject({
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '1m30s',
    });
  });

  it('leave out what is not known of a tenant that is limited by a rate', async () => {
    expect(await told({ sessionsPerSecond: 2 }, { sessions: 0 })).toEqual({
      'x-ratelimit-limit-requests': '4',
      'x-ratelimit-reset-requests': '500ms',
    });
  });

  it('are none without limits, or without Redis', async () => {
    expect(await told({}, { sessions: 9 })).toEqual({});
    const look = (): Promise<TenantRoom> => Promise.reject(new RedisUnavailable('gone'));
    expect(await new RateHeaders({ look }).of(tenant({ maxSessions: 1 }))).toEqual([]);
  });

  it.each([
    [0, '0ms'],
    [11.2, '12ms'],
    [1000, '1s'],
    [59_900, '1m0s'],
    [360_000, '6m0s'],
  ])('write %d ms as %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});
