import { z } from 'zod';

/**
 * OpenAI's Realtime API as of 2026, and what is still sent of its shape before that (`transcription_session.update`, flat
 * audio settings). Fields that are not named here are let be: clients send more of them with each release.
 */
export const OPENAI_REALTIME_PATH = '/v1/realtime';

/** Rates of `audio/pcm` that are taken, in Hz. OpenAI itself takes 24000 alone. */
export const OPENAI_PCM_RATES = [8_000, 16_000, 24_000, 48_000] as const;
/** Of PCM whose rate nobody named. */
export const OPENAI_DEFAULT_RATE = 24_000;

export const OpenAiAudioFormat = z.looseObject({
  type: z.enum(['audio/pcm', 'audio/pcmu', 'audio/pcma']).nullish(),
  rate: z.number().nullish(),
});
export type OpenAiAudioFormat = z.infer<typeof OpenAiAudioFormat>;

export const OpenAiTranscription = z.looseObject({
  model: z.string().nullish(),
  language: z.string().nullish(),
});
export type OpenAiTranscription = z.infer<typeof OpenAiTranscription>;

export const OpenAiTurnDetection = z.looseObject({
  type: z.enum(['server_vad', 'semantic_vad', 'none']).nullish(),
  silence_duration_ms: z.number().nullish(),
  eagerness: z.enum(['low', 'medium', 'high', 'auto']).nullish(),
});
export type OpenAiTurnDetection = z.infer<typeof OpenAiTurnDetection>;

/** The names that audio settings had before they moved into `audio.input`. */
const Flat = {
  input_audio_format: z.enum(['pcm16', 'g711_ulaw', 'g711_alaw']).nullish(),
  input_audio_transcription: OpenAiTranscription.nullish(),
  turn_detection: OpenAiTurnDetection.nullish(),
};

/** A session as its client asks for it: a field that is absent stays as it is, null takes it away. */
export const OpenAiSession = z.looseObject({
  type: z.string().nullish(),
  model: z.string().nullish(),
  audio: z
    .looseObject({
      input: z
        .looseObject({
          format: OpenAiAudioFormat.nullish(),
          transcription: OpenAiTranscription.nullish(),
          turn_detection: OpenAiTurnDetection.nullish(),
        })
        .nullish(),
      output: z.looseObject({ format: OpenAiAudioFormat.nullish() }).nullish(),
    })
    .nullish(),
  ...Flat,
});
export type OpenAiSession = z.infer<typeof OpenAiSession>;

export const OpenAiSessionUpdate = z.looseObject({
  type: z.enum(['session.update', 'transcription_session.update']),
  session: OpenAiSession,
});

/** `POST /v1/realtime/client_secrets`. */
export const OpenAiClientSecretRequest = z.looseObject({
  expires_after: z
    .looseObject({
      anchor: z.literal('created_at').nullish(),
      seconds: z.int().nullish(),
    })
    .nullish(),
  session: OpenAiSession.nullish(),
});
export type OpenAiClientSecretRequest = z.infer<typeof OpenAiClientSecretRequest>;

/** The object that an `error` event and a refused request hold. */
export const OpenAiErrorObject = z.strictObject({
  type: z.string(),
  code: z.string().nullable(),
  message: z.string(),
  param: z.string().nullable(),
  event_id: z.string().optional(),
});
export type OpenAiErrorObject = z.infer<typeof OpenAiErrorObject>;

const Item = { item_id: z.string() };
const Spoken = { ...Item, content_index: z.literal(0) };
const Id = { event_id: z.string() };
/** Null alone says that nothing is before it. */
const Follows = { previous_item_id: z.string().nullable() };
const Session = z.looseObject({
  id: z.string(),
  type: z.enum(['transcription', 'realtime']),
  audio: z.looseObject({ input: z.looseObject({}) }),
});
const WireItem = z.looseObject({ id: z.string(), type: z.literal('message'), role: z.string() });

/** What sessions are told that are transcribed. Fields that may be absent are never null. */
export const OpenAiServerEvent = z.discriminatedUnion('type', [
  z.looseObject({ ...Id, type: z.literal('session.created'), session: Session }),
  z.strictObject({ ...Id, type: z.literal('session.updated'), session: Session }),
  z.strictObject({ ...Id, type: z.literal('transcription_session.updated'), session: Session }),
  z.strictObject({
    ...Id,
    ...Item,
    type: z.literal('input_audio_buffer.speech_started'),
    audio_start_ms: z.int(),
  }),
  z.strictObject({
    ...Id,
    ...Item,
    type: z.literal('input_audio_buffer.speech_stopped'),
    audio_end_ms: z.int(),
  }),
  z.strictObject({
    ...Id,
    ...Item,
    ...Follows,
    type: z.literal('input_audio_buffer.committed'),
  }),
  z.strictObject({ ...Id, type: z.literal('input_audio_buffer.cleared') }),
  z.strictObject({
    ...Id,
    ...Follows,
    type: z.literal('conversation.item.added'),
    item: WireItem,
  }),
  z.strictObject({ ...Id, ...Follows, type: z.literal('conversation.item.done'), item: WireItem }),
  z.strictObject({
    ...Id,
    ...Spoken,
    type: z.literal('conversation.item.input_audio_transcription.delta'),
    delta: z.string(),
  }),
  z.strictObject({
    ...Id,
    ...Spoken,
    type: z.literal('conversation.item.input_audio_transcription.completed'),
    transcript: z.string(),
    usage: z.strictObject({ type: z.literal('duration'), seconds: z.number() }),
  }),
  z.strictObject({
    ...Id,
    ...Spoken,
    type: z.literal('conversation.item.input_audio_transcription.failed'),
    error: z.strictObject({ type: z.string(), code: z.string(), message: z.string() }),
  }),
  z.strictObject({ ...Id, type: z.literal('error'), error: OpenAiErrorObject }),
]);
export type OpenAiServerEvent = z.infer<typeof OpenAiServerEvent>;
