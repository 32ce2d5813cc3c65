/**
 * Every name that stands in a span. Those of OpenTelemetry are as in its semantic conventions 1.41; ours begin with `voice.`.
 * None of them holds a transcript, prompt, reply, audio or key, but for the two of `CONTENT`.
 */

/**
 * Short spans; none lasts as long as a session does. `accept`: a socket or request, until its client is let in or answered.
 * `admit`: key, limits, a slot and the link to its worker. `utterance`: from its first audio to its last word, with the reply to
 * it. `speech_to_text`: a worker's part of one. `chat`, `text_to_speech`: the reply. `job`: one attempt at a recording.
 */
export const SPAN_NAMES = [
  'accept',
  'admit',
  'utterance',
  'speech_to_text',
  'chat',
  'text_to_speech',
  'job',
] as const;
export type SpanName = (typeof SPAN_NAMES)[number];

/** Moments within a span. `roll`: a new segment; `failover`: another worker or engine stream goes on; `resume`: another gateway does. */
export const SPAN_EVENTS = [
  'first_partial',
  'first_token',
  'first_audio',
  'barge_in',
  'roll',
  'failover',
  'resume',
] as const;
export type SpanEvent = (typeof SPAN_EVENTS)[number];

export const ATTRIBUTES = {
  session: 'voice.session.id',
  utterance: 'voice.utterance.number',
  protocol: 'voice.protocol',
  tenant: 'voice.tenant.id',
  pool: 'voice.pool',
  worker: 'voice.worker.id',
  outcome: 'voice.outcome',
  cause: 'voice.cause',
  queueMs: 'voice.queue_ms',
  tookMs: 'voice.took_ms',
  attempt: 'voice.attempt',
  engine: 'voice.engine',
  audioMs: 'voice.audio_ms',
  droppedMs: 'voice.dropped_ms',
  lagMs: 'voice.lag_ms',
  failovers: 'voice.failovers',
  t0: 'voice.t0_ms',
  t1: 'voice.t1_ms',
  t2: 'voice.t2_ms',
  t3: 'voice.t3_ms',
  t4: 'voice.t4_ms',
  tokens: 'voice.tokens',
  phrases: 'voice.phrases',
  phrasesLost: 'voice.phrases_lost',
  job: 'voice.job.id',
  segments: 'voice.job.segments',
  conversation: 'gen_ai.conversation.id',
  operation: 'gen_ai.operation.name',
  model: 'gen_ai.request.model',
  method: 'http.request.method',
  path: 'url.path',
  status: 'http.response.status_code',
  error: 'error.type',
} as const;
export type AttributeKey = keyof typeof ATTRIBUTES;

/** What was said; only where an operator has opted in. */
export const CONTENT = { heard: 'voice.transcript', replied: 'voice.reply' } as const;

/** By the names of `ATTRIBUTES`; what is undefined is left out. */
export type Attributes = { readonly [Key in AttributeKey]?: string | number | boolean | undefined };
