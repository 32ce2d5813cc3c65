/** What a client may do after an error: nothing (its own mistake), carry on, or dial again later. */
export type ErrorTier = 'client_mistake' | 'recoverable' | 'fatal';

interface ErrorSpec {
  readonly tier: ErrorTier;
  /** HTTP status where the error answers a request. */
  readonly status: number;
  /** Default text a client sees; says what to do next. */
  readonly message: string;
}

/**
 * Every error a client can meet, declared once. `docs/errors.md` is generated from this table.
 * `fatal` errors close the connection; all others leave it open.
 */
export const ERRORS = {
  authentication_failed: {
    tier: 'fatal',
    status: 401,
    message:
      'Missing or wrong API key. Pass it as a Bearer token or in the X-API-Key header; sockets may have it as ?api_key=.',
  },
  key_revoked: {
    tier: 'fatal',
    status: 401,
    message: 'This API key was revoked. Use another key.',
  },
  scope_missing: {
    tier: 'fatal',
    status: 403,
    message: 'This API key may not do that. Use a key with the scope named in details.',
  },
  at_capacity: {
    tier: 'fatal',
    status: 503,
    message: 'All transcription slots are taken. Try again shortly.',
  },
  too_many_sessions: {
    tier: 'fatal',
    status: 429,
    message: 'Your tenant has as many sessions open as it may. End one first.',
  },
  session_rate_limited: {
    tier: 'fatal',
    status: 429,
    message: 'Your tenant opens sessions faster than it may. Try again shortly.',
  },
  audio_quota_exhausted: {
    tier: 'fatal',
    status: 429,
    message: 'The audio your tenant may send in a day is used up. It starts anew at 00:00 UTC.',
  },
  resume_refused: {
    tier: 'fatal',
    status: 410,
    message:
      'This session cannot be resumed: the token is wrong, was used, or has expired. Start a new session.',
  },
  fleet_unavailable: {
    tier: 'fatal',
    status: 503,
    message: 'The fleet cannot admit sessions right now. Try again shortly.',
  },
  invalid_message: { tier: 'client_mistake', status: 400, message: 'The message is not valid.' },
  unknown_message_type: { tier: 'client_mistake', status: 400, message: 'Unknown message type.' },
  method_not_allowed: {
    tier: 'client_mistake',
    status: 405,
    message: 'This path does not take requests of this method. Allow names those that it takes.',
  },
  binary_not_supported: {
    tier: 'client_mistake',
    status: 400,
    message: 'This endpoint takes JSON text frames only; send audio as base64 in payload.audio.',
  },
  message_too_large: {
    tier: 'client_mistake',
    status: 413,
    message: 'The message is too large. Send audio in smaller pieces (80 ms is usual).',
  },
  unsupported_model: {
    tier: 'client_mistake',
    status: 400,
    message: 'This model is not served here.',
  },
  model_not_found: {
    tier: 'client_mistake',
    status: 404,
    message: 'There is no such model here. GET /v1/models lists those that are served.',
  },
  unsupported_format: {
    tier: 'client_mistake',
    status: 400,
    message: 'This format is not made here. Ask for another one.',
  },
  missing_audio: {
    tier: 'client_mistake',
    status: 400,
    message: 'payload.audio must be a non-empty base64 string.',
  },
  invalid_audio: {
    tier: 'client_mistake',
    status: 400,
    message:
      'Audio must be base64 of PCM16 little-endian mono at 16 kHz (an even number of bytes).',
  },
  unsupported_media_type: {
    tier: 'client_mistake',
    status: 415,
    message: 'This kind of recording cannot be read here. Send a WAV file.',
  },
  no_active_request: {
    tier: 'client_mistake',
    status: 409,
    message: 'No utterance is open. Send input_audio_buffer.commit with final=false first.',
  },
  empty_commit: {
    tier: 'client_mistake',
    status: 400,
    message: 'There is no audio to commit. Send some first.',
  },
  reply_active: {
    tier: 'client_mistake',
    status: 409,
    message: 'A reply is under way. Wait for its end, or cancel it first.',
  },
  item_not_found: {
    tier: 'client_mistake',
    status: 404,
    message: 'There is no such item in this conversation.',
  },
  job_not_found: {
    tier: 'client_mistake',
    status: 404,
    message: 'There is no such job, or it was deleted.',
  },
  job_not_finished: {
    tier: 'client_mistake',
    status: 409,
    message:
      'The job has no result yet. Ask for it again when the job has ended, or have a webhook tell you.',
  },
  job_without_result: {
    tier: 'client_mistake',
    status: 409,
    message: 'The job ended without a result. Its record says why.',
  },
  job_quarantined: {
    tier: 'client_mistake',
    status: 422,
    message:
      'The job was begun as often as it may, and failed or took its worker down each time. Look at its recording, and tell the operator.',
  },
  webhook_not_found: {
    tier: 'client_mistake',
    status: 404,
    message: 'This job has no webhook. Name a webhook_url when you submit a job.',
  },
  webhook_not_given_up: {
    tier: 'client_mistake',
    status: 409,
    message: 'The webhook of this job was not given up: it waits, or was acknowledged.',
  },
  idempotency_conflict: {
    tier: 'client_mistake',
    status: 409,
    message: 'This Idempotency-Key was used for another request. Use a new one.',
  },
  too_many_jobs: {
    tier: 'client_mistake',
    status: 429,
    message: 'Your tenant has as many jobs waiting as it may. Wait until some are done.',
  },
  jobs_disabled: {
    tier: 'client_mistake',
    status: 404,
    message: 'Batch jobs are not done here. Use /v1/audio/transcriptions, or ask the operator.',
  },
  url_refused: {
    tier: 'client_mistake',
    status: 400,
    message: 'This URL may not be used here.',
  },
  url_failed: {
    tier: 'client_mistake',
    status: 400,
    message: 'Nothing could be read from the URL.',
  },
  request_id_mismatch: {
    tier: 'client_mistake',
    status: 409,
    message: 'request_id is not that of the open utterance.',
  },
  message_rate_limited: {
    tier: 'client_mistake',
    status: 429,
    message: 'Too many messages; this one was dropped.',
  },
  cancel_rate_limited: {
    tier: 'client_mistake',
    status: 429,
    message: 'Too many cancels; this one was dropped.',
  },
  inbound_queue_full: {
    tier: 'fatal',
    status: 503,
    message:
      'The transcription engine does not keep up and the inbound queue is full. Reconnect later.',
  },
  worker_lost: {
    tier: 'recoverable',
    status: 503,
    message: 'The worker transcribing this utterance was lost. Start the utterance again.',
  },
  worker_unavailable: {
    tier: 'recoverable',
    status: 503,
    message: 'No worker could be reached for this utterance. Start it again shortly.',
  },
  engine_failed: {
    tier: 'recoverable',
    status: 502,
    message: 'The transcription engine failed on this utterance. Start it again.',
  },
  protocol_violation: {
    tier: 'fatal',
    status: 400,
    message: 'This frame is not allowed now. Reconnect and follow the protocol.',
  },
  unsupported_sample_rate: {
    tier: 'client_mistake',
    status: 400,
    message: 'Audio must be 16 kHz. Resample it and start again.',
  },
  not_started: {
    tier: 'client_mistake',
    status: 409,
    message: 'No utterance is open, so this audio was let go. Send start first.',
  },
  endpoint_deprecated: {
    tier: 'fatal',
    status: 410,
    message: 'deprecated; migrate to /ws',
  },
  streaming_disabled: {
    tier: 'fatal',
    status: 503,
    message: 'Streaming is switched off here. Use POST /api/voice.',
  },
  model_load_failed: {
    tier: 'fatal',
    status: 503,
    message: 'The transcription model could not be loaded. Tell the operator.',
  },
  max_duration_exceeded: {
    tier: 'recoverable',
    status: 413,
    message: 'The utterance is as long as it may be; what was said so far is transcribed.',
  },
  asr_timeout: {
    tier: 'recoverable',
    status: 504,
    message: 'The last words did not come in time. Start the utterance again.',
  },
  cancelled: { tier: 'recoverable', status: 499, message: 'Cancelled, as you asked.' },
  llm_timeout: {
    tier: 'recoverable',
    status: 504,
    message: 'The language model took too long. Say it again.',
  },
  llm_failed: {
    tier: 'recoverable',
    status: 502,
    message: 'The language model failed. Say it again.',
  },
  tts_timeout: {
    tier: 'recoverable',
    status: 504,
    message: 'A phrase took too long to speak and was left out.',
  },
  tts_failed: {
    tier: 'recoverable',
    status: 502,
    message: 'A phrase could not be spoken and was left out.',
  },
  internal: { tier: 'fatal', status: 500, message: 'Internal error.' },
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof ERRORS;

/** The one error type that crosses module borders. `details` may be shown to the client; `cause` never is. */
export class VoiceError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(
    code: ErrorCode,
    options: { message?: string; details?: Record<string, string | number>; cause?: unknown } = {},
  ) {
    super(options.message ?? ERRORS[code].message, { cause: options.cause });
    this.name = 'VoiceError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get tier(): ErrorTier {
    return ERRORS[this.code].tier;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}
