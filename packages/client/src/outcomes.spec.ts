import { describe, expect, it } from '@jest/globals';
import { failureCode, isTurnedAway } from './outcomes.ts';
import {
  failureOfFrame,
  YapConnectionClosed,
  YapProtocolError,
  YapRejected,
  YapResumeFailed,
  YapResumeRefused,
  YapTimeout,
  YapUnreachable,
} from './yap-errors.ts';

/** What a server says in an error frame. */
function told(code: string, reason_code = code): Error {
  const payload = { code, message: 'x', details: { reason_code } };
  const frame = { type: 'error', session_id: 's', request_id: 'r', payload };
  return failureOfFrame(frame as Parameters<typeof failureOfFrame>[0]);
}

describe('failures of sessions', () => {
  it.each<[Error, string, boolean]>([
    [told('server_at_capacity'), 'server_at_capacity', true],
    [told('internal_error', 'fleet_unavailable'), 'fleet_unavailable', true],
    [told('internal_error', 'too_many_sessions'), 'tenant_limit', true],
    [told('internal_error', 'audio_quota_exhausted'), 'audio_quota_exhausted', false],
    [told('authentication_failed'), 'authentication_failed', false],
    [told('internal_error', 'engine_failed'), 'engine_failed', false],
    [new YapRejected('capacity', 'HTTP 429'), 'server_at_capacity', true],
    [new YapTimeout('the transcript', 85_000), 'timeout', false],
    [new YapConnectionClosed(1006, ''), 'connection_closed_1006', false],
    [new YapUnreachable('ECONNREFUSED 10.0.0.7:8000'), 'unreachable', false],
    [new YapProtocolError('odd'), 'protocol_error', false],
    [new YapResumeRefused('gone'), 'not_resumed', false],
    [new YapResumeFailed('nobody there'), 'not_resumed', false],
    [new TypeError('x is not a function'), 'client_error', false],
  ])('%p is %s; worth another try: %s', (error, code, turnedAway) => {
    expect(failureCode(error)).toBe(code);
    expect(isTurnedAway(error)).toBe(turnedAway);
  });
});
