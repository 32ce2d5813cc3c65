import { z } from 'zod';
import { ReplyChunk, ReplyMode } from './chunk.ts';
import { SessionReport } from './session-report.ts';
import { SpeechUnit } from './turn.ts';

/** The voice pipeline's protocol: JSON text frames, and PCM16 LE mono 16 kHz in binary ones. */
export const VOICE_PATHS = ['/ws', '/ws2'] as const;
export const LEGACY_VOICE_PATH = '/ws_legacy';
export const VOICE_PROTOCOL_VERSION = 1;
/** A larger binary frame breaks the protocol: 2 s of audio. */
export const MAX_VOICE_FRAME_BYTES = 65_536;

export const VoiceClientFrame = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('start'),
    sample_rate: z.int().optional(),
    /** `voice`: transcript, reply, speech. `transcribe`: transcript alone. `chat`: a reply straight from the audio. */
    mode: z.enum(['voice', 'transcribe', 'chat']).optional(),
    /** Of mode `chat`. */
    reply_mode: ReplyMode.optional(),
    chunk_size_words: z.int().min(1).max(20).optional(),
    /** Of mode `voice`: how the reply is cut before it is spoken, by which voice, and the speaker's language (ISO 639-1). */
    unit: SpeechUnit.optional(),
    voice: z.string().min(1).max(100).optional(),
    language: z.string().min(1).max(20).optional(),
    /** False: `stop` alone ends the utterance. */
    endpointing: z.boolean().optional(),
    /** Of the client's own trace, as browsers cannot send it with an upgrade. */
    traceparent: z.string().max(128).optional().catch(undefined),
    /** True: `session.report` is the last frame of the session. */
    report: z.boolean().optional(),
  }),
  z.object({ type: z.literal('stop') }),
  z.object({ type: z.literal('cancel') }),
  z.object({ type: z.literal('ping') }),
  /** Nothing more comes: the server closes the connection. */
  z.object({ type: z.literal('end') }),
]);
export type VoiceClientFrame = z.infer<typeof VoiceClientFrame>;

export const VOICE_CLIENT_TYPES: readonly string[] = ['start', 'stop', 'cancel', 'ping', 'end'];

/** The two tiers: after `recoverable: false` the socket is closed. */
export const VoiceErrorCode = z.enum([
  'PROTOCOL_VIOLATION',
  'INTERNAL',
  'MODEL_LOAD_FAIL',
  'STREAMING_DISABLED',
  'UNAUTHORIZED',
  'AT_CAPACITY',
  'LIMIT_REACHED',
  'ASR_FAIL',
  'ASR_TIMEOUT',
  'LLM_TIMEOUT',
  'LLM_FAIL',
  'TTS_FAIL',
  'TTS_TIMEOUT',
  'MAX_DURATION_EXCEEDED',
  'UNSUPPORTED_SAMPLE_RATE',
  'CANCELLED',
  'NOT_STARTED',
  'BAD_FRAME',
  'BAD_JSON',
  'UNKNOWN_TYPE',
]);
export type VoiceErrorCode = z.infer<typeof VoiceErrorCode>;

const Seq = z.int().nonnegative();
const Mark = z.number().optional();

export const VoiceServerFrame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('protocol'), version: z.literal(VOICE_PROTOCOL_VERSION) }),
  z.strictObject({
    type: z.literal('info'),
    message: z.string(),
    session_id: z.string().optional(),
    /** Machine-readable: BACKPRESSURE, SHUTDOWN, RTF_ADVISORY, BARGE_IN, QUEUED, LIMIT_WARNING, DROPPED, DEPRECATED. */
    code: z.string().optional(),
    reason: z.string().optional(),
    /** Of BACKPRESSURE: whether it begins or ends. */
    active: z.boolean().optional(),
  }),
  z.strictObject({ type: z.literal('partial_transcript'), text: z.string() }),
  z.strictObject({ type: z.literal('finalize_pending'), reason: z.string() }),
  z.strictObject({ type: z.literal('final_transcript'), text: z.string(), id: z.string() }),
  z.discriminatedUnion('done', [
    z.strictObject({ type: z.literal('llm_token'), text: z.string(), done: z.literal(false) }),
    z.strictObject({ type: z.literal('llm_token'), done: z.literal(true) }),
  ]),
  z.strictObject({
    type: z.literal('tts_chunk'),
    seq: Seq,
    audio_b64: z.string(),
    mime: z.literal('audio/wav'),
  }),
  z.strictObject({ type: z.literal('tts_phrase_done'), seq: Seq }),
  z.strictObject({ type: z.literal('tts_complete') }),
  z.strictObject({ type: z.literal('text_chunk'), ...ReplyChunk.shape }),
  z.discriminatedUnion('event', [
    z.strictObject({
      type: z.literal('metrics'),
      event: z.literal('latency'),
      t0: Mark,
      t1: Mark,
      t2: Mark,
      t3: Mark,
      t4: Mark,
      d_first_partial: Mark,
      d_final_transcript: Mark,
      d_first_token: Mark,
      d_first_audio: Mark,
    }),
    z.strictObject({
      type: z.literal('metrics'),
      event: z.literal('decode'),
      runs: z.int().nonnegative(),
      ms: z.number().nonnegative(),
    }),
  ]),
  z.strictObject({ type: z.literal('pong') }),
  z.strictObject({ type: z.literal('session.report'), ...SessionReport.shape }),
  z.strictObject({
    type: z.literal('error'),
    code: VoiceErrorCode,
    message: z.string(),
    recoverable: z.boolean(),
  }),
]);
export type VoiceServerFrame = z.infer<typeof VoiceServerFrame>;
