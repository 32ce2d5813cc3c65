import { AUDIO_CHAT_PATH, ReplyOptions, WholeReply } from '@voice-fleet/protocol/chunk';
import {
  CHAT_COMPLETIONS_PATH,
  ChatRequest,
  SPEECH_PATH,
  SpeechRequest,
} from '@voice-fleet/protocol/openai-rest';
import { z } from 'zod';
import { FILE, json, type Operation, ok } from './operation.ts';

const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
});
const ChatCompletion = z.looseObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.looseObject({
      index: z.int(),
      message: z.looseObject({ role: z.literal('assistant'), content: z.string().nullable() }),
      finish_reason: z.string().nullable(),
    }),
  ),
  usage: Usage.optional(),
});

const AudioChatForm = ReplyOptions.extend({ file: FILE, stream: z.boolean().optional() });

const CHUNK =
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763640000,"model":"builtin-rules","choices":[{"index":0,"delta":{"content":"Four"},"finish_reason":null}]}\n\n';
const SPEECH_EVENT = 'data: {"type":"speech.audio.delta","audio":"UklGRg=="}\n\n';
const events = (name: string, example: string) => ({
  type: 'text/event-stream',
  schema: z.string(),
  name,
  example,
});

/** What is spoken and answered. */
export const REPLY_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: SPEECH_PATH,
    tag: 'Speech and replies',
    summary: 'Text in; speech out, sent while the rest is still being spoken.',
    key: 'stream',
    body: [
      json('SpeechRequest', SpeechRequest, {
        model: 'tts-1',
        input: 'The train leaves at nine.',
        voice: 'alloy',
        response_format: 'mp3',
      }),
    ],
    answers: [
      ok(
        'The speech, or events that carry it.',
        { type: 'audio/mpeg' },
        { type: 'audio/ogg' },
        { type: 'audio/aac' },
        { type: 'audio/flac' },
        { type: 'audio/wav' },
        { type: 'audio/pcm' },
        events('SpeechEvents', SPEECH_EVENT),
      ),
    ],
    refusals: [400, 404, 413, 415, 502, 503, 504],
  },
  {
    method: 'post',
    path: CHAT_COMPLETIONS_PATH,
    tag: 'Speech and replies',
    summary: 'The language model, as clients of OpenAI ask for it.',
    description: 'All fields go to the model as they are.',
    key: 'stream',
    body: [
      json('ChatRequest', ChatRequest, {
        model: 'builtin-rules',
        messages: [{ role: 'user', content: 'What is two plus two?' }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    ],
    answers: [
      ok(
        'The completion, whole or as it is made.',
        json('ChatCompletion', ChatCompletion, {
          id: 'chatcmpl-1',
          object: 'chat.completion',
          created: 1_763_640_000,
          model: 'builtin-rules',
          choices: [
            { index: 0, message: { role: 'assistant', content: 'Four.' }, finish_reason: 'stop' },
          ],
          usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
        }),
        events('ChatCompletionChunks', CHUNK),
      ),
    ],
    refusals: [400, 404, 413, 415, 502, 503, 504],
  },
  {
    method: 'post',
    path: AUDIO_CHAT_PATH,
    tag: 'Speech and replies',
    summary: "A recording in; a chat model's reply out, in chunks of a few words.",
    key: 'stream',
    body: [{ type: 'multipart/form-data', name: 'AudioChatForm', schema: AudioChatForm }],
    answers: [
      ok(
        'The reply.',
        json('WholeReply', WholeReply, {
          success: true,
          text: 'At nine.',
          processing_time_ms: 412,
          chunks: [
            {
              success: true,
              text: 'At nine.',
              is_final: true,
              chunk_index: 0,
              processing_time_ms: 412,
            },
          ],
        }),
        events(
          'ReplyChunks',
          'data: {"success":true,"text":"At nine.","is_final":true,"chunk_index":0,"processing_time_ms":412}\n\n',
        ),
      ),
    ],
    refusals: [400, 413, 415, 503, 504],
  },
];
