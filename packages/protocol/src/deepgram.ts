import { z } from 'zod';

/** Deepgram's live transcription, version 1: everything is asked for in the query; audio comes as binary frames. */
export const DEEPGRAM_LISTEN_PATH = '/v1/listen';

/** What a client sends as text. Types that are not here are let go, as Deepgram's own older servers do. */
export const DeepgramClientMessage = z.looseObject({ type: z.string() });

export const DeepgramWord = z.strictObject({
  /** In lower case, without punctuation. */
  word: z.string(),
  /** In seconds of the stream. */
  start: z.number(),
  end: z.number(),
  /** 1 where the engine has none. */
  confidence: z.number(),
  punctuated_word: z.string(),
});
export type DeepgramWord = z.infer<typeof DeepgramWord>;

export const DeepgramResults = z.strictObject({
  type: z.literal('Results'),
  channel_index: z.tuple([z.int(), z.int()]),
  /** In seconds of the stream. Those of final results follow each other without gap. */
  start: z.number(),
  duration: z.number(),
  is_final: z.boolean(),
  speech_final: z.boolean(),
  from_finalize: z.boolean(),
  channel: z.strictObject({
    alternatives: z.array(
      z.strictObject({
        transcript: z.string(),
        confidence: z.number(),
        words: z.array(DeepgramWord),
      }),
    ),
  }),
  metadata: z.strictObject({
    request_id: z.string(),
    model_info: z.strictObject({ name: z.string(), version: z.string(), arch: z.string() }),
    model_uuid: z.string(),
  }),
});
export type DeepgramResults = z.infer<typeof DeepgramResults>;

/** What the server sends. */
export const DeepgramServerMessage = z.discriminatedUnion('type', [
  DeepgramResults,
  z.strictObject({
    type: z.literal('SpeechStarted'),
    channel: z.array(z.int()),
    timestamp: z.number(),
  }),
  z.strictObject({
    type: z.literal('UtteranceEnd'),
    channel: z.tuple([z.int(), z.int()]),
    last_word_end: z.number(),
  }),
  /** The last message of a stream. */
  z.strictObject({
    type: z.literal('Metadata'),
    transaction_key: z.literal('deprecated'),
    request_id: z.string(),
    sha256: z.string(),
    created: z.string(),
    duration: z.number(),
    channels: z.int(),
  }),
  z.strictObject({
    type: z.literal('Error'),
    variant: z.string(),
    description: z.string(),
    message: z.string(),
  }),
]);
export type DeepgramServerMessage = z.infer<typeof DeepgramServerMessage>;

/** The answer to a recording, which is posted to the same path. */
export const DeepgramRecording = z.strictObject({
  metadata: z.strictObject({
    transaction_key: z.literal('deprecated'),
    request_id: z.string(),
    sha256: z.string(),
    created: z.string(),
    duration: z.number(),
    channels: z.int(),
    models: z.array(z.string()),
    model_info: z.record(
      z.string(),
      z.strictObject({ name: z.string(), version: z.string(), arch: z.string() }),
    ),
  }),
  results: z.strictObject({
    channels: z.array(
      z.strictObject({
        alternatives: z.array(
          z.strictObject({
            transcript: z.string(),
            confidence: z.number(),
            words: z.array(DeepgramWord),
          }),
        ),
      }),
    ),
    /** Where they are asked for. */
    utterances: z
      .array(
        z.strictObject({
          id: z.string(),
          start: z.number(),
          end: z.number(),
          confidence: z.number(),
          channel: z.int(),
          transcript: z.string(),
          words: z.array(DeepgramWord),
        }),
      )
      .optional(),
  }),
});
export type DeepgramRecording = z.infer<typeof DeepgramRecording>;

/** The body of a refused request. */
export const DeepgramRefusal = z.object({
  err_code: z.string(),
  err_msg: z.string(),
  request_id: z.string(),
});
export type DeepgramRefusal = Readonly<z.infer<typeof DeepgramRefusal>>;
