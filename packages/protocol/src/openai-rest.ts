import { z } from 'zod';

/** Where speech is asked for, at the gateway and behind it. */
export const SPEECH_PATH = '/v1/audio/speech';
/** Where replies of the language model are asked for, at the gateway and behind it. */
export const CHAT_COMPLETIONS_PATH = '/v1/chat/completions';
/** Where models are listed, at the gateway and behind it. */
export const MODELS_PATH = '/v1/models';

/** One model of `GET /v1/models`. */
export const ListedModel = z.object({
  id: z.string(),
  object: z.literal('model'),
  /** Unix time in seconds since which it has been known here. */
  created: z.int(),
  owned_by: z.string(),
});
export type ListedModel = z.infer<typeof ListedModel>;

export const ModelList = z.object({ object: z.literal('list'), data: z.array(ListedModel) });
export type ModelList = z.infer<typeof ModelList>;

const name = z.string().min(1).max(200);

/** Some clients write null for what others leave out. */
function orElse<T extends z.ZodType>(value: z.output<T>, schema: T, description?: string) {
  return schema
    .nullish()
    .transform((given) => given ?? value)
    .meta({ default: value, ...(description && { description }) });
}

/** `POST /v1/audio/speech`. Fields that are not known are ignored. */
export const SpeechRequest = z.object({
  model: name.meta({
    description: 'A speech model that GET /v1/models lists, or tts-1 and its like.',
  }),
  input: z.string().min(1).max(4096).meta({ description: 'What is said.' }),
  voice: z
    .union([name, z.object({ id: name })])
    .nullish()
    .meta({ description: 'A voice of the engine. One that it does not know, or none: its own.' }),
  instructions: z.string().max(4096).nullish().meta({
    description: 'How it is said; heard by engines that can be told, ignored by others.',
  }),
  response_format: orElse(
    'mp3',
    z.enum(['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm']),
    'All are 24 kHz, mono; pcm has no header, opus is in Ogg.',
  ),
  speed: orElse(1, z.number().min(0.25).max(4)),
  stream_format: orElse('audio', z.enum(['audio', 'sse'])),
});
export type SpeechRequest = z.infer<typeof SpeechRequest>;

const ContentPart = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  input_audio: z
    .object({ data: z.string(), format: z.enum(['wav', 'mp3']) })
    .optional()
    .meta({ description: 'Audio in base64, for models that listen.' }),
});

const ChatMessage = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: z.union([z.string(), z.array(ContentPart)]).nullish(),
});
export type ChatMessage = z.infer<typeof ChatMessage>;

/** `POST /v1/chat/completions`. All other fields go to the model as they are. */
export const ChatRequest = z.looseObject({
  model: name,
  messages: z.array(ChatMessage).min(1).max(4096),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;
