import { z } from 'zod';

/** The yap dialect (`/api/asr-streaming`): one JSON envelope in both directions. */
export const YAP_PATH = '/api/asr-streaming';

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

const ids = { session_id: z.string(), request_id: z.string() };
const empty = z.strictObject({});

/** Frames the server sends. */
export const YapServerFrame = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('session.created'),
    ...ids,
    payload: z.strictObject({ id: z.string(), created: z.int(), model: z.string() }),
  }),
  z.strictObject({
    type: z.literal('session.updated'),
    ...ids,
    payload: z.strictObject({ id: z.string(), created: z.int(), model: z.string() }),
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
    payload: z.strictObject({
      kind: z.literal('overload_drop'),
      dropped_seconds: z.number(),
      max_backlog_seconds: z.number(),
      source: z.string(),
    }),
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
]);
export type YapServerFrame = z.infer<typeof YapServerFrame>;
