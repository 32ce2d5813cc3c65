import { z } from 'zod';

/** Deepgram's Flux, version 2 of its live transcription: one speaker's turns. */
export const DEEPGRAM_FLUX_PATH = '/v2/listen';

export const FluxThresholds = z.object({
  /** 1: turns end by `eot_timeout_ms` or `ForceEndTurn` alone. */
  eot_threshold: z.number().min(0.5).max(1).optional(),
  /** Absent, or null to take it back: no EagerEndOfTurn. */
  eager_eot_threshold: z.number().min(0.3).max(0.9).nullish(),
  eot_timeout_ms: z.number().min(500).max(60_000).optional(),
});
export type FluxThresholds = z.infer<typeof FluxThresholds>;

/** What may be changed while a stream lasts. What is not here is let be. */
export const FluxConfigure = z.looseObject({
  type: z.literal('Configure'),
  thresholds: FluxThresholds.optional(),
  keyterms: z.union([z.string(), z.array(z.string())]).optional(),
});

const words = z.array(
  z.strictObject({
    /** With its punctuation. */
    word: z.string(),
    confidence: z.number(),
    start: z.number(),
    end: z.number(),
  }),
);

export const FluxTurnInfo = z.strictObject({
  type: z.literal('TurnInfo'),
  request_id: z.string(),
  /** Counts all messages of the server from 0. */
  sequence_id: z.int(),
  event: z.enum(['StartOfTurn', 'Update', 'EagerEndOfTurn', 'TurnResumed', 'EndOfTurn']),
  turn_index: z.int(),
  /** In seconds of the stream. */
  audio_window_start: z.number(),
  audio_window_end: z.number(),
  /** All of the turn so far. */
  transcript: z.string(),
  words,
  end_of_turn_confidence: z.number(),
  /** Of EndOfTurn alone. */
  trigger: z.enum(['model', 'manual', 'timeout']).optional(),
});
export type FluxTurnInfo = z.infer<typeof FluxTurnInfo>;

const numbered = { request_id: z.string(), sequence_id: z.int() };

/** What the server sends. */
export const FluxServerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Connected'), ...numbered }),
  FluxTurnInfo,
  z.strictObject({
    type: z.literal('ConfigureSuccess'),
    ...numbered,
    thresholds: FluxThresholds,
    keyterms: z.array(z.string()),
  }),
  z.strictObject({ type: z.literal('ConfigureFailure'), ...numbered }),
  z.strictObject({
    type: z.literal('Error'),
    sequence_id: z.int(),
    code: z.string(),
    description: z.string(),
  }),
]);
export type FluxServerMessage = z.infer<typeof FluxServerMessage>;
