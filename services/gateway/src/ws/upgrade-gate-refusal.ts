import { randomUUID } from 'node:crypto';
import type { VoiceError } from '@voice-fleet/protocol/errors';
import { retryHeaders } from '@voice-fleet/protocol/openai-error';
import type { UpgradeRefusal } from '@voice-fleet/runtime/upgrade';
import type { Dialect } from '../dialects/dialect.ts';
import type { HttpErrorBody } from '../http/error.filter.ts';

/** Why an upgrade was answered with anything but 101. */
export const UPGRADE_REFUSALS = [
  'unknown_path',
  'too_many_pending',
  'too_many_connections',
  'auth',
  'tenant_limit',
  'capacity',
  'unavailable',
  'error',
] as const;
export type UpgradeRefusalReason = (typeof UPGRADE_REFUSALS)[number];

/** When to come again if nothing is known: about as long as a client waited in vain. */
const RETRY_S = 5;
/** Doubled at the most, it is what clients still heed: they take more than 60 s for nothing at all. */
const MAX_RETRY_S = 30;

export function refusalReason({ code, status }: VoiceError): UpgradeRefusalReason {
  if (code === 'at_capacity') return 'capacity';
  if (status === 401 || status === 403) return 'auth';
  if (status === 429) return 'tenant_limit';
  return status === 503 ? 'unavailable' : 'error';
}

/** The error in the form of the dialect, or that of all HTTP errors. Those that may pass say when: spread out, so that not all come back at once. */
export function upgradeRefusal(
  error: VoiceError,
  dialect: Pick<Dialect, 'refusal'>,
  random: () => number,
): UpgradeRefusal {
  const { code, message, status } = error;
  const passes = status === 429 || status === 503;
  const knownS = error.details['retry_after_s'];
  const leastS = Math.min(MAX_RETRY_S, typeof knownS === 'number' ? knownS : RETRY_S);
  const retryS = Math.max(1, Math.ceil(leastS * (1 + random())));
  const details = passes ? { ...error.details, retry_after_s: retryS } : error.details;
  const requestId = randomUUID();
  const plain: HttpErrorBody = { error: { code, message, details } };
  const { body, headers } = dialect.refusal?.(error, requestId) ?? { body: plain, headers: {} };
  return {
    status,
    body,
    headers: {
      ...headers,
      ...retryHeaders(error),
      'X-Request-Id': requestId,
      ...(passes && { 'Retry-After': String(retryS) }),
      ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
    },
  };
}

export function unknownPath(path: string): UpgradeRefusal {
  const message = `There is no WebSocket endpoint at ${path}.`;
  const body: HttpErrorBody = { error: { code: 'not_found', message, details: {} } };
  return { status: 404, body, headers: { 'X-Request-Id': randomUUID() } };
}
