import { z } from 'zod';
import { SessionReport } from './session-report.ts';

/** The yap dialect (`/api/asr-streaming`): one JSON envelope in both directions. */
export const YAP_PATH = '/api/asr-streaming';

/** Query parameters; `api_key` and the two of a resume may come as the headers X-API-Key, X-Resume-Token and X-Last-Seq. */
export const YAP_QUERY = {
  apiKey: 'api_key',
  /** `1`: frames are numbered, acknowledged, and the session survives its connection. */
  resumable: 'resumable',
  /** `1`: acks without the rest. */
  acks: 'acks',
  /** Seconds that the client is willing to wait in line. */
  wait: 'wait',
  resumeToken: 'resume_token',
  /** The highest `seq` received. */
  lastSeq: 'last_seq',
} as const;

const trimmed = z.string().refine((value) => value.trim() !== '', 'must be a non-empty string');

/** Ids are echoed with every frame, so their length is bounded. */
const id = trimmed.max(256);

export const YapEnvelope = z.object({
  type: trimmed,
  session_id: id,
  request_id: id,
  // Not z.record, which would copy every key of every frame.
  payload: z.custom<Readonly<Record<string, unknown>>>(isObject, 'must be an object').nullish(),
});
export type YapEnvelope = z.infer<typeof YapEnvelope>;

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The types a client may send. */
export const YAP_CLIENT_TYPES = [
  'session.update',
  'input_audio_buffer.commit',
  'input_audio_buffer.append',
  'cancel',
  'ping',
  'pong',
  'end',
] as const;
export type YapClientType = (typeof YAP_CLIENT_TYPES)[number];

/** Numbered where the session can be resumed: a frame that a resume may send again. From 1, without gaps. */
const seq = { seq: z.int().positive().optional() };
const resume = z.strictObject({ token: z.string(), ttl_s: z.number() });
const session = { id: z.string(), created: z.int(), model: z.string() };
const ids = { session_id: z.string(), request_id: z.string(), ...seq };
const empty = z.strictObject({});

/** Frames the server sends. */
export const YapServerFrame = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('session.created'),
    ...ids,
    payload: z.strictObject({ ...session, resume: resume.optional() }),
  }),
  z.strictObject({
    type: z.literal('session.resumed'),
    ...ids,
    payload: z.strictObject({
      ...session,
      resume,
      /** The open utterance; send its audio again from this sample of it on, then go on. Absent: none is open. */
      open: z.strictObject({ request_id: z.string(), from_sample: z.int() }).optional(),
    }),
  }),
  z.strictObject({
    type: z.literal('session.updated'),
    ...ids,
    payload: z.strictObject(session),
  }),
  /** In resumable sessions, and with `acks=1`. `request_id` is the open utterance's, if there is one. */
  z.strictObject({
    type: z.literal('ack'),
    ...ids,
    payload: z.strictObject({
      /** Audio samples of the session recorded, and billed, so far. */
      accepted_samples: z.int(),
      /** Of the open utterance: no resume asks for audio before this sample of it. */
      keep_from_sample: z.int().optional(),
    }),
  }),
  z.strictObject({
    type: z.literal('token'),
    ...ids,
    payload: z.strictObject({ text: z.string() }),
  }),
  z.strictObject({
    type: z.literal('final'),
    ...ids,
    payload: z.strictObject({ normalized_text: z.string() }),
  }),
  z.strictObject({
    type: z.literal('done'),
    ...ids,
    payload: z.strictObject({
      usage: z.strictObject({
        prompt_tokens: z.int(),
        completion_tokens: z.int(),
        total_tokens: z.int(),
      }),
    }),
  }),
  z.strictObject({
    type: z.literal('status'),
    ...ids,
    payload: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('overload_drop'),
        dropped_seconds: z.number(),
        max_backlog_seconds: z.number(),
        source: z.string(),
      }),
      /** Before `session.created`, for clients that are willing to wait. */
      z.strictObject({
        kind: z.literal('queued'),
        position: z.int(),
        estimate_s: z.number().optional(),
      }),
      z.strictObject({
        kind: z.literal('limit_warning'),
        limit: z.string(),
        used: z.number(),
        max: z.number(),
      }),
      z.strictObject({ kind: z.literal('shutdown'), grace_s: z.number() }),
    ]),
  }),
  z.strictObject({
    type: z.literal('error'),
    ...ids,
    payload: z.strictObject({
      code: z.string(),
      message: z.string(),
      details: z.looseObject({ reason_code: z.string() }),
    }),
  }),
  z.strictObject({
    type: z.literal('cancelled'),
    ...ids,
    payload: z.strictObject({ reason: z.string() }),
  }),
  z.strictObject({ type: z.literal('pong'), ...ids, payload: empty }),
  z.strictObject({ type: z.literal('session_end'), ...ids, payload: empty }),
  /** The last frame, of a session whose client asked for it. */
  z.strictObject({ type: z.literal('session.report'), ...ids, payload: SessionReport }),
]);
export type YapServerFrame = z.infer<typeof YapServerFrame>;
