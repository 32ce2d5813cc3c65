export const HEALTH_STATUSES = ['healthy', 'warning', 'degraded', 'critical', 'error'] as const;
export type HealthStatus = (typeof HEALTH_STATUSES)[number];

/** Real-time factors from which on an engine is in that state: 1 is as much as it can do. */
export const RTF_WARNING = 0.8;
export const RTF_DEGRADED = 1;
export const RTF_CRITICAL = 1.2;
/** One failure, or a few, may be a session's own. */
const MAX_ERRORS = 3;

/** The state of an engine in one word. `realTimeFactor` is undefined while nothing is measured; errors are those since the last success. */
export function healthStatus(
  realTimeFactor: number | undefined,
  consecutiveErrors: number,
): HealthStatus {
  if (consecutiveErrors > MAX_ERRORS) return 'error';
  const factor = realTimeFactor ?? 0;
  if (factor >= RTF_CRITICAL) return 'critical';
  if (factor >= RTF_DEGRADED) return 'degraded';
  return factor >= RTF_WARNING ? 'warning' : 'healthy';
}
