import { z } from 'zod';

/**
 * vLLM's realtime transcription (`vllm serve`, from 0.16): JSON text frames, PCM16 LE mono 16 kHz as base64. It is neither
 * OpenAI's nor Mistral's protocol, whose event names it borrows. Source: vllm/entrypoints/speech_to_text/realtime.
 */
export const VLLM_REALTIME_PATH = '/v1/realtime';

/** Larger frames close the socket with 1009: uvicorn's default, which vLLM keeps. */
export const VLLM_MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** The model emits one delta, possibly empty, for each 80 ms of audio. */
export const VLLM_FRAME_SAMPLES = 1280;

/** What a client sends. vLLM ignores further fields. */
export const VllmClientEvent = z.discriminatedUnion('type', [
  /** Only names the model: nothing is answered when that is right. */
  z.object({ type: z.literal('session.update'), model: z.string() }),
  z.object({ type: z.literal('input_audio_buffer.append'), audio: z.string() }),
  /** Not final: begins an utterance. Final: ends its audio. */
  z.object({
    type: z.literal('input_audio_buffer.commit'),
    final: z.boolean().optional(),
    /** Ours alone, of a start: the trace of the utterance, as sockets are kept from one to the next. */
    traceparent: z.string().max(128).optional().catch(undefined),
  }),
]);
export type VllmClientEvent = z.infer<typeof VllmClientEvent>;

/** Every code of an `error` event. None of them closes the socket. */
export const VLLM_ERROR_CODES = [
  'invalid_json',
  'invalid_event',
  'model_not_found',
  'model_not_validated',
  'invalid_audio',
  'unknown_event',
  'processing_error',
] as const;
export type VllmErrorCode = (typeof VLLM_ERROR_CODES)[number];

export const VllmUsage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
});
export type VllmUsage = z.infer<typeof VllmUsage>;

/** What vLLM sends. Nothing but the order tells which utterance an event is about. */
export const VllmServerEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('session.created'), id: z.string(), created: z.int() }),
  /** One for each token, so also an empty one for each 80 ms in which nothing was said. */
  z.object({ type: z.literal('transcription.delta'), delta: z.string() }),
  /** `text` is all deltas since the start. */
  z.object({
    type: z.literal('transcription.done'),
    text: z.string(),
    usage: VllmUsage.nullish(),
  }),
  /** `code` is one of VLLM_ERROR_CODES in the versions read; others may come. */
  z.object({ type: z.literal('error'), error: z.string(), code: z.string().nullish() }),
]);
export type VllmServerEvent = z.infer<typeof VllmServerEvent>;

/** `GET /v1/models`, as far as it matters here. */
export const VllmModels = z.object({ data: z.array(z.object({ id: z.string() })) });

/** `GET /version`. */
export const VllmVersion = z.object({ version: z.string() });
