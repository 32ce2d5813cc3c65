import { DeepgramRecording, DeepgramRefusal } from '@voice-fleet/protocol/deepgram';
import { TRANSCRIPT_FORMATS } from '@voice-fleet/speech/transcript-formats';
import { z } from 'zod';
import { type Content, FILE, json, type Operation, ok } from './operation.ts';

const BYTES: readonly Content[] = [{ type: 'application/octet-stream' }, { type: 'audio/*' }];
const Recording = z.object({ file: FILE });
const recording: readonly Content[] = [
  { type: 'multipart/form-data', name: 'Recording', schema: Recording },
  ...BYTES,
];

const TranscriptionForm = z.object({
  file: FILE,
  model: z.string().optional().meta({ description: 'Left out: whatever is served.' }),
  language: z.string().optional(),
  response_format: z.enum(TRANSCRIPT_FORMATS).default('json'),
  stream: z.boolean().default(false),
  'timestamp_granularities[]': z.array(z.enum(['segment', 'word'])).optional(),
});

const Json = z.object({
  text: z.string(),
  usage: z.object({ type: z.literal('duration'), seconds: z.number() }),
});
const Verbose = z.object({
  task: z.literal('transcribe'),
  language: z.string(),
  duration: z.number(),
  text: z.string(),
  segments: z
    .array(
      z.object({
        id: z.int(),
        seek: z.number(),
        start: z.number(),
        end: z.number(),
        text: z.string(),
        tokens: z.array(z.int()),
        temperature: z.number(),
        avg_logprob: z.number(),
        compression_ratio: z.number(),
        no_speech_prob: z.number(),
      }),
    )
    .optional(),
  words: z.array(z.object({ word: z.string(), start: z.number(), end: z.number() })).optional(),
  usage: z.object({ type: z.literal('duration'), seconds: z.number() }).optional(),
});

const SRT = '1\n00:00:00,300 --> 00:00:02,100\nthe quick brown fox\n';
/** A transcript in every format that it can be asked for in. */
export const TRANSCRIPT: readonly Content[] = [
  json('Transcription', z.union([Verbose, Json]), {
    text: 'the quick brown fox',
    usage: { type: 'duration', seconds: 3 },
  }),
  { type: 'text/plain', schema: z.string(), name: 'Subtitles', example: SRT },
];
const STREAMED = 'data: {"type":"transcript.text.delta","delta":"the quick"}\n\n';

/** Statuses of a recording that is not transcribed. */
const REFUSALS = [400, 413, 415, 429, 502, 503, 504];

const VoiceReply = z.object({
  id: z.uuid(),
  transcript: z.string(),
  reply: z.string(),
  audio_b64: z.base64(),
  mime: z.literal('audio/wav'),
  model: z.string(),
  missing_phrases: z.int().nonnegative(),
});

const FLAG = z.enum(['true', 'false']).optional();
const RECORDED: DeepgramRecording = {
  metadata: {
    transaction_key: 'deprecated',
    request_id: '0d9ff9a2-3f6b-4f6e-9a0f-0e5a3a3f1c11',
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    created: '2026-01-01T12:00:00.000Z',
    duration: 1.2,
    channels: 1,
    models: ['small-int8'],
    model_info: { 'small-int8': { name: 'small-int8', version: 'unknown', arch: 'unknown' } },
  },
  results: {
    channels: [
      {
        alternatives: [
          {
            transcript: 'Hello.',
            confidence: 0.98,
            words: [
              { word: 'hello', start: 0.3, end: 0.7, confidence: 0.98, punctuated_word: 'Hello.' },
            ],
          },
        ],
      },
    ],
  },
};

/** Whole recordings in, what was said out. */
export const TRANSCRIPT_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/v1/audio/transcriptions',
    tag: 'Transcripts',
    summary: 'A recording in; its text, words or subtitles out, as clients of OpenAI ask for them.',
    description: 'Fields of newer models are ignored.',
    key: 'stream',
    body: [{ type: 'multipart/form-data', name: 'TranscriptionForm', schema: TranscriptionForm }],
    answers: [
      ok('The transcript, in the format asked for.', ...TRANSCRIPT, {
        type: 'text/event-stream',
        schema: z.string(),
        name: 'TranscriptEvents',
        example: STREAMED,
      }),
    ],
    refusals: [404, ...REFUSALS],
  },
  {
    method: 'post',
    path: '/v1/audio/translations',
    tag: 'Transcripts',
    summary: 'Nothing is translated here: always 400.',
    key: 'none',
    answers: [],
    refusals: [400],
  },
  {
    method: 'post',
    path: '/v1/listen',
    tag: 'Transcripts',
    summary: 'A recording in; its words and their times out, as clients of Deepgram ask for them.',
    description:
      'Parameters that are not known here are ignored. Recordings are not fetched from a URL.',
    key: 'stream',
    parameters: [
      {
        name: 'model',
        in: 'query',
        description: 'Left out: whatever is served.',
        schema: z.string().optional(),
        example: 'nova-3',
      },
      {
        name: 'punctuate',
        in: 'query',
        description: 'The transcript keeps punctuation and capitals; smart_format does the same.',
        schema: FLAG,
        example: 'true',
      },
      {
        name: 'utterances',
        in: 'query',
        description: 'What is said without a pause is told apart, too.',
        schema: FLAG,
        example: 'true',
      },
    ],
    body: BYTES,
    answers: [ok('The transcript.', json('DeepgramRecording', DeepgramRecording, RECORDED))],
    refusals: [404, ...REFUSALS],
    refusalBody: { name: 'DeepgramError', schema: DeepgramRefusal },
  },
  {
    method: 'post',
    path: '/transcribe',
    tag: 'Transcripts',
    summary: 'A recording in, its text out.',
    key: 'stream',
    body: recording,
    answers: [
      ok(
        'The text.',
        json('Transcript', z.object({ transcript: z.string() }), {
          transcript: 'the quick brown fox',
        }),
      ),
    ],
    refusals: REFUSALS,
  },
  {
    method: 'post',
    path: '/api/voice',
    tag: 'Speech and replies',
    summary: 'A recording in, a spoken reply out.',
    key: 'stream',
    body: recording,
    answers: [
      ok(
        'What was said, and the reply to it as one WAV in base64.',
        json('VoiceReply', VoiceReply, {
          id: '0d9ff9a2-3f6b-4f6e-9a0f-0e5a3a3f1c11',
          transcript: 'what is two plus two',
          reply: 'Two plus two is four.',
          audio_b64: 'UklGRg==',
          mime: 'audio/wav',
          model: 'builtin-rules',
          missing_phrases: 0,
        }),
      ),
    ],
    refusals: REFUSALS,
  },
];
