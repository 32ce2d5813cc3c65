import { describe, expect, it } from '@jest/globals';
import { type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import { type AdmissionOutcome, admissionOutcome } from './admission-outcome.ts';

describe('the outcome of an admission', () => {
  it.each<[AdmissionOutcome, ErrorCode[]]>([
    ['rejected_auth', ['authentication_failed', 'key_revoked', 'scope_missing']],
    ['rejected_limit', ['too_many_sessions', 'session_rate_limited', 'audio_quota_exhausted']],
    ['rejected_capacity', ['at_capacity']],
    ['rejected_resume', ['resume_refused']],
    // The budget of the fleet must not be spent by clients that ask for what is not there.
    [
      'rejected_request',
      [
        ...(['model_not_found', 'unsupported_model', 'unsupported_format'] as const),
        ...(['invalid_message', 'endpoint_deprecated', 'streaming_disabled'] as const),
      ],
    ],
    ['error', ['fleet_unavailable', 'model_load_failed', 'worker_unavailable', 'internal']],
  ])('is %s for %j', (outcome, codes) => {
    for (const code of codes) expect(admissionOutcome(new VoiceError(code))).toBe(outcome);
  });

  it('is error for what nobody has thought of', () => {
    expect(admissionOutcome(new TypeError('x'))).toBe('error');
  });
});
