import type { DeepgramRefusal } from '@voice-fleet/protocol/deepgram';
import type { ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { DialectRefusal } from '../dialect.ts';

/** Deepgram's names of what is refused; all that is not here is INTERNAL_SERVER_ERROR or Bad Request, by its status. */
const ERR_CODES: Partial<Record<ErrorCode, string>> = {
  authentication_failed: 'INVALID_AUTH',
  key_revoked: 'INVALID_AUTH',
  scope_missing: 'INSUFFICIENT_PERMISSIONS',
  too_many_sessions: 'TOO_MANY_REQUESTS',
  session_rate_limited: 'TOO_MANY_REQUESTS',
  audio_quota_exhausted: 'TOO_MANY_REQUESTS',
  at_capacity: 'SERVICE_UNAVAILABLE',
  fleet_unavailable: 'SERVICE_UNAVAILABLE',
};

/** The answer to a request or an upgrade that is refused. */
export function deepgramRefusal(error: VoiceError, request_id: string): DialectRefusal {
  const fallback = error.status < 500 ? 'Bad Request' : 'INTERNAL_SERVER_ERROR';
  const err_code = ERR_CODES[error.code] ?? fallback;
  const body: DeepgramRefusal = { err_code, err_msg: error.message, request_id };
  return { body, headers: { 'dg-request-id': request_id } };
}
