import { z } from 'zod';

/**
 * A turn: what a speaker said, answered in tokens and spoken phrases. The gateway POSTs a TurnRequest; llm-tts answers with one
 * TurnEvent a line (NDJSON). Closing the request ends everything done for it.
 */
export const TURNS_PATH = '/v1/turns';
export const NDJSON = 'application/x-ndjson';

/** How a reply is cut before it is spoken: at the ends of phrases, or every few words. */
export const SpeechUnit = z.enum(['phrases', 'words']);
export type SpeechUnit = z.infer<typeof SpeechUnit>;

/** What was said earlier, or is to be known. */
export const TurnMessage = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().min(1).max(32_768),
});
export type TurnMessage = z.infer<typeof TurnMessage>;

export const TurnRequest = z
  .strictObject({
    tenant: z.string().min(1).max(200),
    /** Whose earlier turns are remembered: a session. */
    conversation: z.string().min(1).max(200),
    /** May be empty only beside `history` or `instructions`: then nothing was said that is to be answered. */
    text: z.string().max(32_768),
    /** What the model is told first, instead of what the service tells it. */
    instructions: z.string().min(1).max(32_768).optional(),
    /** What was said before `text`, oldest first. With this or `instructions` nothing is remembered: the client does that. */
    history: z.array(TurnMessage).max(64).optional(),
    /** False: tokens alone. */
    speak: z.boolean().default(true),
    unit: SpeechUnit.default('phrases'),
    /** False: the speech is heard when it is whole, so that no phrase may be dropped to keep up with its tokens. */
    live: z.boolean().default(true),
    voice: z.string().max(100).optional(),
    /** ISO 639-1, of the speaker. */
    language: z.string().max(20).optional(),
  })
  .refine(({ text, ...told }) => (text !== '' || told.history) ?? told.instructions, {
    message: 'nothing is to be answered',
    path: ['text'],
  });
export type TurnRequest = z.infer<typeof TurnRequest>;
/** As it is sent: what has a default may be left out. */
export type TurnRequestInput = z.input<typeof TurnRequest>;

/** What may go wrong within a turn. `llm_*` end it without speech; `tts_*` cost one phrase. */
export const TurnErrorCode = z.enum(['llm_timeout', 'llm_failed', 'tts_timeout', 'tts_failed']);
export type TurnErrorCode = z.infer<typeof TurnErrorCode>;

/**
 * In order: `started`; then tokens, the last with `done`; among them and behind them speech, each phrase followed by its
 * `phrase_done`, in the order of the text; `complete` is always the last.
 */
export const TurnEvent = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('started'),
    /** Names the model that answers; `builtin-rules` is none. */
    model: z.string(),
    /** Name of the engine that speaks; absent when nobody does. */
    tts: z.string().optional(),
  }),
  z.strictObject({ type: z.literal('token'), text: z.string(), done: z.boolean() }),
  z.strictObject({
    type: z.literal('speech'),
    /** Number of the phrase in the reply, from 0; phrases that failed or were dropped leave gaps. */
    phrase: z.int().nonnegative(),
    /** A whole WAV file, PCM16 mono, in base64. */
    audio: z.string(),
    sampleRate: z.int().positive(),
    durationMs: z.number().nonnegative(),
  }),
  z.strictObject({ type: z.literal('phrase_done'), phrase: z.int().nonnegative() }),
  /** A phrase that waited was left out, as too many did. */
  z.strictObject({ type: z.literal('phrase_dropped'), phrase: z.int().nonnegative() }),
  z.strictObject({
    type: z.literal('error'),
    code: TurnErrorCode,
    message: z.string(),
    phrase: z.int().nonnegative().optional(),
  }),
  z.strictObject({
    type: z.literal('complete'),
    /** `spoken`: tokens came to their end; `failed`: they did not. */
    outcome: z.enum(['spoken', 'failed']),
    tokens: z.int().nonnegative(),
    phrases: z.int().nonnegative(),
  }),
]);
export type TurnEvent = z.infer<typeof TurnEvent>;
