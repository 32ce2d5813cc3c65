import { z } from 'zod';

/** What a chat model makes of audio: an answer to it, or its words. */
export const ReplyMode = z.enum(['conversation', 'transcribe']);
export type ReplyMode = z.infer<typeof ReplyMode>;

/** A few words of a reply made straight from audio. Field names are those of the wire. */
export const ReplyChunk = z.strictObject({
  /** False: `error` says what went wrong; `text` may still be worth showing. */
  success: z.boolean(),
  text: z.string(),
  /** Exactly one chunk of a reply, its last, has true. */
  is_final: z.boolean(),
  /** From 0, without gaps. */
  chunk_index: z.int().nonnegative(),
  /** Since the request; never less than in the chunk before. */
  processing_time_ms: z.number().nonnegative(),
  error: z.string().optional(),
});
export type ReplyChunk = z.infer<typeof ReplyChunk>;

/** How a reply is made. Fields of a form, so numbers may come as text. */
export const ReplyOptions = z.object({
  mode: ReplyMode.default('conversation'),
  chunk_size_words: z.coerce.number().int().min(1).max(20).default(4),
  max_new_tokens: z.coerce.number().int().min(1).max(4096).default(50),
  temperature: z.coerce.number().min(0).max(2).default(0.7),
  top_p: z.coerce.number().gt(0).max(1).default(0.9),
});
export type ReplyOptions = z.infer<typeof ReplyOptions>;

/** POST, multipart: the ReplyOptions and `file`, a WAV. Answered with server-sent events, a ReplyChunk each. */
export const AUDIO_CHAT_PATH = '/v1/audio/chat';

/** Instead of a stream, for those who ask for JSON: the whole reply at once. */
export const WholeReply = z.strictObject({
  success: z.boolean(),
  /** What the model said; the fallback text if it said nothing before it failed. */
  text: z.string(),
  processing_time_ms: z.number().nonnegative(),
  error: z.string().optional(),
  /** As they would have been streamed. */
  chunks: z.array(ReplyChunk),
});
export type WholeReply = z.infer<typeof WholeReply>;

/** Follows the final chunk of a stream, as with OpenAI: `data: [DONE]`. */
export const STREAM_END = '[DONE]';
