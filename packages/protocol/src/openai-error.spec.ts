import { describe, expect, it } from '@jest/globals';
import { VoiceError } from './errors.ts';
import { openAiError, retryHeaders } from './openai-error.ts';

describe('a refusal in the words of OpenAI', () => {
  it.each([
    ['authentication_failed', 'invalid_api_key', 'invalid_request_error', null],
    ['key_revoked', 'invalid_api_key', 'invalid_request_error', null],
    ['scope_missing', 'insufficient_permissions', 'invalid_request_error', null],
    ['unsupported_model', 'model_not_found', 'invalid_request_error', 'model'],
    ['too_many_sessions', 'rate_limit_exceeded', 'rate_limit_error', null],
    ['audio_quota_exhausted', 'insufficient_quota', 'insufficient_quota', null],
    ['message_too_large', 'message_too_large', 'invalid_request_error', null],
    ['at_capacity', 'at_capacity', 'server_error', null],
    ['internal', 'server_error', 'server_error', null],
  ] as const)('%s is %s', (ours, code, type, param) => {
    expect(openAiError(new VoiceError(ours))).toMatchObject({ code, type, param });
  });

  it('names the parameter that is wrong', () => {
    const error = new VoiceError('invalid_message', { details: { param: 'response_format' } });
    expect(openAiError(error).param).toBe('response_format');
  });

  it('tells clients not to come again where that is pointless, and only there', () => {
    const told = (code: ConstructorParameters<typeof VoiceError>[0]) =>
      retryHeaders(new VoiceError(code))['x-should-retry'];
    expect([told('audio_quota_exhausted'), told('no_active_request')]).toEqual(['false', 'false']);
    expect([told('at_capacity'), told('too_many_sessions')]).toEqual([undefined, undefined]);
    expect(retryHeaders({ status: 409, code: 'busy', message: '' })).toEqual({});
  });
});
