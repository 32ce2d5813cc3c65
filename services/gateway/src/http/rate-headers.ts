import type { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { tenantClaim } from '../auth/session-limits.ts';

type Headers = readonly (readonly [string, string])[];

/** Sessions that a tenant without a rate opens at once may be over at any time. */
const SOON_MS = 1_000;
/** Of new sessions, a burst of two seconds' worth is let through. */
const BURST_S = 2;

/** How near a tenant is to its limits, as OpenAI's headers tell it. Tenants without limits get none. */
export class RateHeaders {
  readonly #store: Pick<LeaseStore, 'look'>;

  constructor(store: Pick<LeaseStore, 'look'>) {
    this.#store = store;
  }

  /** Empty also while Redis cannot be asked: whether the request can be served then is found out later. */
  async of(principal: Principal): Promise<Headers> {
    const { maxSessions, sessionsPerSecond } = principal.limits;
    if (maxSessions === 0 && sessionsPerSecond === 0) return [];
    try {
      const { sessions, refusal } = await this.#store.look(tenantClaim(principal));
      const waitMs = refusal?.retryAfterMs ?? 0;
      if (maxSessions > 0) {
        // This request is one of them.
        const left = refusal ? 0 : Math.max(0, maxSessions - sessions - 1);
        return headers(maxSessions, left, left > 0 ? 0 : Math.max(waitMs, SOON_MS));
      }
      const burst = Math.max(1, Math.floor(BURST_S * sessionsPerSecond));
      // How full the bucket is, is known of an empty one alone.
      return headers(burst, refusal ? 0 : undefined, refusal ? waitMs : 1000 / sessionsPerSecond);
    } catch (error) {
      if (error instanceof RedisUnavailable) return [];
      throw error;
    }
  }
}

function headers(limit: number, left: number | undefined, resetMs: number): Headers {
  return [
    ['x-ratelimit-limit-requests', String(limit)],
    ...(left === undefined ? [] : [['x-ratelimit-remaining-requests', String(left)] as const]),
    ['x-ratelimit-reset-requests', duration(resetMs)],
  ];
}

/** As OpenAI writes durations: `12ms`, `1s`, `6m0s`. */
export function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole < 1000) return `${whole}ms`;
  const seconds = Math.ceil(whole / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
