/** A refusal, of whatever kind: VoiceError is one. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number>>;
}

/** What OpenAI's clients expect in `error`. Their types have all four; `details` is ours, and ignored by them. */
export type OpenAiError = {
  message: string;
  type: string;
  param: string | null;
  code: string;
  details: Readonly<Record<string, string | number>>;
};

/** Where OpenAI has a name of its own. */
const CODES: Readonly<Record<string, string>> = {
  authentication_failed: 'invalid_api_key',
  key_revoked: 'invalid_api_key',
  scope_missing: 'insufficient_permissions',
  unsupported_model: 'model_not_found',
  too_many_sessions: 'rate_limit_exceeded',
  session_rate_limited: 'rate_limit_exceeded',
  message_rate_limited: 'rate_limit_exceeded',
  cancel_rate_limited: 'rate_limit_exceeded',
  audio_quota_exhausted: 'insufficient_quota',
  empty_commit: 'input_audio_buffer_commit_empty',
  reply_active: 'conversation_already_has_active_response',
  internal: 'server_error',
};

/** These are the same at the next try, though their status says that one may come again. */
const POINTLESS = new Set(['audio_quota_exhausted', 'model_load_failed', 'streaming_disabled']);

/** A refusal in the words of OpenAI, for HTTP bodies and for events. */
export function openAiError({ status, code, message, details = {} }: Refusal): OpenAiError {
  const name = CODES[code] ?? code;
  return {
    message,
    type: typeOf(status, name),
    param: paramOf(name, details),
    code: name,
    details,
  };
}

/** Headers that tell OpenAI's clients when to come again, or not to. */
export function retryHeaders({ status, code }: Refusal): Readonly<Record<string, string>> {
  // They take every 409 for one that may pass. Ours say that the request does not fit what is there.
  if (POINTLESS.has(code) || (status === 409 && code !== 'busy'))
    return { 'x-should-retry': 'false' };
  return {};
}

function typeOf(status: number, name: string): string {
  if (name === 'insufficient_quota') return name;
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

function paramOf(name: string, details: NonNullable<Refusal['details']>): string | null {
  const named = details['param'] ?? details['parameter'];
  if (named !== undefined) return String(named);
  return name === 'model_not_found' ? 'model' : null;
}
