import {
  YapConnectionClosed,
  YapProtocolError,
  YapRejected,
  type YapRejection,
  YapResumeFailed,
  YapResumeRefused,
  YapServerError,
  YapTimeout,
  YapUnreachable,
} from './yap-errors.ts';

const REJECTION_CODES: Readonly<Record<YapRejection, string>> = {
  auth: 'authentication_failed',
  quota: 'audio_quota_exhausted',
  limit: 'tenant_limit',
  capacity: 'server_at_capacity',
  unavailable: 'fleet_unavailable',
};

/** Turned away before any work, for lack of capacity, by a limit or by a fleet that admits nobody now: worth another try. */
export function isTurnedAway(error: unknown): error is YapRejected {
  return error instanceof YapRejected && error.reason !== 'auth' && error.reason !== 'quota';
}

/** A short name to group failures by; one of few, whatever the failure says. */
export function failureCode(error: unknown): string {
  if (error instanceof YapServerError) return error.reasonCode;
  if (error instanceof YapRejected) return REJECTION_CODES[error.reason];
  if (error instanceof YapTimeout) return 'timeout';
  if (error instanceof YapConnectionClosed) return `connection_closed_${error.code}`;
  if (error instanceof YapUnreachable) return 'unreachable';
  if (error instanceof YapProtocolError) return 'protocol_error';
  if (error instanceof YapResumeRefused || error instanceof YapResumeFailed) return 'not_resumed';
  return 'client_error';
}
