import { VoiceError } from '@voice-fleet/protocol/errors';

export const ADMISSION_OUTCOMES = [
  'accepted',
  'resumed',
  'rejected_auth',
  'rejected_limit',
  'rejected_capacity',
  'rejected_resume',
  'rejected_request',
  'error',
  'abandoned',
] as const;
export type AdmissionOutcome = (typeof ADMISSION_OUTCOMES)[number];

/** What is told of a failure, in logs and spans. */
export function codeOf(error: unknown): string {
  return error instanceof VoiceError ? error.code : 'internal';
}

/** How an admission ended that ended with an error. `rejected_request`: what was asked for is the mistake; `error`: the fleet's own. */
export function admissionOutcome(error: unknown): AdmissionOutcome {
  if (!(error instanceof VoiceError)) return 'error';
  switch (error.code) {
    case 'authentication_failed':
    case 'key_revoked':
    case 'scope_missing':
      return 'rejected_auth';
    case 'too_many_sessions':
    case 'session_rate_limited':
    case 'audio_quota_exhausted':
      return 'rejected_limit';
    case 'at_capacity':
      return 'rejected_capacity';
    case 'resume_refused':
      return 'rejected_resume';
    // An operator has switched it off.
    case 'streaming_disabled':
      return 'rejected_request';
    default:
      return error.status < 500 ? 'rejected_request' : 'error';
  }
}
