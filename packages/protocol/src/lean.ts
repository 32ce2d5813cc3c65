import { z } from 'zod';

/**
 * The lean protocol: one utterance a connection, transcript alone. JSON text frames, and PCM16 LE mono 16 kHz in binary ones, of
 * which none may be larger than MAX_LEAN_FRAME_BYTES.
 */
export const LEAN_PATH = '/ws';
export const LEAN_PROTOCOL_VERSION = 1;
export const MAX_LEAN_FRAME_BYTES = 65_536;

export const LeanClientFrame = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start'), sample_rate: z.int().optional() }),
  z.object({ type: z.literal('stop') }),
]);
export type LeanClientFrame = z.infer<typeof LeanClientFrame>;

/** After `recoverable: false` the socket is closed. */
export const LeanErrorCode = z.enum([
  'BAD_JSON',
  'UNKNOWN_TYPE',
  'BAD_FRAME',
  'ASR_FAIL',
  'ASR_TIMEOUT',
  'UNAUTHORIZED',
  'AT_CAPACITY',
  'LIMIT_REACHED',
  'MODEL_LOAD_FAIL',
  'INTERNAL',
]);
export type LeanErrorCode = z.infer<typeof LeanErrorCode>;

export const LEAN_FINALIZE_REASONS = [
  'explicit_stop',
  'vad_silence_timeout',
  'inactivity_timeout',
  'max_utterance_timeout',
] as const;

const Mark = z.number().optional();
/** Of `debug`; its facts lie beside `event`. */
export const LEAN_DEBUG_EVENTS = [
  'finalize_trigger',
  'heartbeat',
  'partial_reject',
  'save_error',
  't_partial_first',
  't_finalize_start',
] as const;

export const LeanServerFrame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('protocol'), version: z.literal(LEAN_PROTOCOL_VERSION) }),
  z.strictObject({
    type: z.literal('info'),
    message: z.string(),
    session_id: z.string().optional(),
    /** Machine-readable: STARTED, COMPLETE, QUEUED, SHUTDOWN, LIMIT_WARNING, DROPPED. */
    code: z.string().optional(),
    reason: z.string().optional(),
  }),
  /** What was said in the last seconds; it replaces the one before. */
  z.strictObject({ type: z.literal('partial_transcript'), text: z.string() }),
  z.strictObject({
    type: z.literal('finalize_pending'),
    reason: z.enum(LEAN_FINALIZE_REASONS),
  }),
  /** Twice: at once with `provisional`, as the last partial was, and when all is decoded, with another id. */
  z.strictObject({
    type: z.literal('final_transcript'),
    text: z.string(),
    id: z.string(),
    provisional: z.boolean(),
  }),
  z.strictObject({
    type: z.literal('metrics'),
    event: z.literal('latency'),
    t0: Mark,
    t1: Mark,
    t2: Mark,
  }),
  z.looseObject({ type: z.literal('debug'), event: z.enum(LEAN_DEBUG_EVENTS) }),
  z.strictObject({
    type: z.literal('error'),
    code: LeanErrorCode,
    message: z.string(),
    recoverable: z.boolean(),
  }),
]);
export type LeanServerFrame = z.infer<typeof LeanServerFrame>;
