import { z } from 'zod';

/** Mistral's realtime transcription: JSON text frames, base64 audio, one transcript for each flush and one at the end. */
export const MISTRAL_REALTIME_PATH = '/v1/audio/transcriptions/realtime';

/** Decoded bytes of one append at the most. */
export const MISTRAL_MAX_APPEND_BYTES = 262_144;

export const MISTRAL_ENCODINGS = [
  'pcm_s16le',
  'pcm_s32le',
  'pcm_f16le',
  'pcm_f32le',
  'pcm_mulaw',
  'pcm_alaw',
] as const;

export const MistralAudioFormat = z.object({
  encoding: z.enum(MISTRAL_ENCODINGS),
  sample_rate: z.int().min(8_000).max(192_000),
});
export type MistralAudioFormat = z.infer<typeof MistralAudioFormat>;

/** What a client sends. Further fields are let be. */
export const MistralClientMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('session.update'),
    session: z.object({
      audio_format: MistralAudioFormat.nullish(),
      target_streaming_delay_ms: z.int().min(0).max(10_000).nullish(),
    }),
  }),
  z.object({ type: z.literal('input_audio.append'), audio: z.string() }),
  z.object({ type: z.literal('input_audio.flush') }),
  z.object({ type: z.literal('input_audio.end') }),
]);
export type MistralClientMessage = z.infer<typeof MistralClientMessage>;

export const MISTRAL_CLIENT_TYPES = MistralClientMessage.options.map(
  ({ shape }) => shape.type.value,
);

const MistralSession = z.strictObject({
  request_id: z.string(),
  model: z.string(),
  audio_format: MistralAudioFormat,
  target_streaming_delay_ms: z.int().nullable(),
});

/** What the server sends. Its SDK drops what is not so to the letter. */
export const MistralServerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('session.created'), session: MistralSession }),
  z.strictObject({ type: z.literal('session.updated'), session: MistralSession }),
  z.strictObject({ type: z.literal('transcription.text.delta'), text: z.string() }),
  z.strictObject({
    type: z.literal('transcription.done'),
    model: z.string(),
    text: z.string(),
    language: z.string().nullable(),
    segments: z.array(z.never()),
    usage: z.strictObject({
      prompt_tokens: z.int(),
      completion_tokens: z.int(),
      total_tokens: z.int(),
      prompt_audio_seconds: z.int(),
    }),
  }),
  /** `code` is a number: a name would hide the message. */
  z.strictObject({
    type: z.literal('error'),
    error: z.strictObject({ message: z.string(), code: z.int() }),
  }),
]);
export type MistralServerMessage = z.infer<typeof MistralServerMessage>;
