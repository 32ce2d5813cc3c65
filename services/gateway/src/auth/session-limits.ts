import type { TenantClaim } from '@voice-fleet/fleet/lease';
import type { Principal, TenantLimits } from '@voice-fleet/fleet/tenant';
import type { SessionLimits } from '../session/limits.ts';

const MINUTE_MS = 60_000;

/** The gateway's own limits of a session, with those of its tenant in their place where the tenant has any. */
export function sessionLimits(own: SessionLimits, tenant: TenantLimits): SessionLimits {
  const { maxSessionS, messagesPerMinute, cancelsPerMinute } = tenant;
  const longest = maxSessionS > 0 ? maxSessionS * 1000 : Number.POSITIVE_INFINITY;
  const maxDurationMs = Math.min(longest, own.maxDurationMs ?? Number.POSITIVE_INFINITY);
  return {
    ...own,
    maxDurationMs: Number.isFinite(maxDurationMs) ? maxDurationMs : undefined,
    ...(messagesPerMinute > 0 && {
      messagesPerWindow: messagesPerMinute,
      messageWindowMs: MINUTE_MS,
    }),
    ...(cancelsPerMinute > 0 && { cancelsPerWindow: cancelsPerMinute, cancelWindowMs: MINUTE_MS }),
  };
}

/** What counts of a tenant when its session asks for a slot. */
export function tenantClaim({ tenantId, limits }: Principal): TenantClaim {
  const { maxSessions, sessionsPerSecond, weight, priority } = limits;
  return { id: tenantId, maxSessions, sessionsPerSecond, weight, priority };
}
