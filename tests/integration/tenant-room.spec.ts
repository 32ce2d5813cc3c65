import { describe, expect, it } from '@jest/globals';
import type { TenantClaim } from '@voice-fleet/fleet/lease';
import { registerAll, request, storeOf, take, tenant, worker } from '../support/pool.ts';

const look = (limits: Partial<TenantClaim>) => storeOf().look(tenant('t', limits));

describe('a look at what is left for a tenant', () => {
  it('says of a session what the lease would say, and takes no place itself', async () => {
    await registerAll(worker('w', 8));
    const store = storeOf();
    const claim = tenant('t', { maxSessions: 3 });
    for (let taken = 0; taken < 3; taken += 1) {
      expect(await look({ maxSessions: 3 })).toEqual({ sessions: taken });
      await take(store, { tenant: claim });
    }
    expect((await look({ maxSessions: 3 })).refusal?.reason).toBe('tenant_sessions');
    expect(await store.acquire(request({ tenant: claim }))).toMatchObject({
      reason: 'tenant_sessions',
    });
    expect(await look({ maxSessions: 4 })).toEqual({ sessions: 3 });
  });

  it.each([0.01, 0.5, 2])(
    'knows when %f new sessions in a second are one too many',
    async (rate) => {
      await registerAll(worker('w', 8));
      const store = storeOf();
      const claim = tenant('t', { sessionsPerSecond: rate });
      const burst = Math.max(1, 2 * rate);
      for (let taken = 0; taken < burst; taken += 1) {
        expect((await look({ sessionsPerSecond: rate })).refusal).toBeUndefined();
        await take(store, { tenant: claim });
      }
      const { refusal } = await look({ sessionsPerSecond: rate });
      expect(refusal?.reason).toBe('tenant_rate');
      const answer = await store.acquire(request({ tenant: claim }));
      if (answer.kind !== 'refused') throw new Error('granted');
      expect(answer.reason).toBe('tenant_rate');
      // The lease was asked a little later.
      expect(answer.retryAfterMs).toBeLessThanOrEqual(refusal?.retryAfterMs ?? 0);
      expect(answer.retryAfterMs).toBeGreaterThan((refusal?.retryAfterMs ?? 0) - 400);
    },
  );
});
