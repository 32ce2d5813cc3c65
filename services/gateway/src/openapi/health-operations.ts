import { z } from 'zod';
import { json, type Operation, ok } from './operation.ts';

const REASONS = [
  'redis_unavailable',
  'no_workers',
  'model_load_failed',
  'full',
  'stopping',
] as const;

const Live = z.object({ status: z.enum(['ok', 'loading']), reason: z.enum(REASONS).optional() });
const Sessions = Live.extend({ active_sessions: z.int().nonnegative().optional() });
const Ready = z.object({
  status: z.enum(['ready', 'not_ready']),
  ready: z.boolean(),
  reason: z.enum(REASONS).optional(),
  slots: z.int().optional(),
  leased: z.int().optional(),
  workers: z.int().optional(),
});
const StreamConfig = z.object({
  model_whisper: z.string(),
  vad_silence_ms: z.number(),
  partial_interval_ms: z.number(),
  max_utterance_ms: z.number(),
  max_pending_phrases: z.int(),
  log_latency: z.boolean(),
  llm_timeout_s: z.number(),
  tts_timeout_s: z.number(),
  enabled: z.boolean(),
  pcm_chunk_size: z.int(),
  sample_rate: z.int(),
});

const live = json('Live', Live, { status: 'ok' });
const loading = {
  status: 503,
  description: 'The fleet was not ready yet.',
  content: [json('Live', Live, { status: 'loading', reason: 'no_workers' })],
};
const html = { type: 'text/html' };

/** Health, the pages, and how the voice pipeline is set. */
export const HEALTH_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/',
    tag: 'Health',
    summary: 'The page to try it with; for all who ask for no HTML, the same as /healthz.',
    key: 'none',
    answers: [ok('The fleet was ready once.', live, html), loading],
  },
  {
    method: 'get',
    path: '/healthz',
    tag: 'Health',
    summary: 'Whether the fleet was ready once.',
    key: 'none',
    answers: [ok('It was.', live), loading],
  },
  {
    method: 'get',
    path: '/health',
    tag: 'Health',
    summary: 'The same, and how many sessions are open at this gateway.',
    key: 'none',
    answers: [
      ok('It was.', json('LiveSessions', Sessions, { status: 'ok', active_sessions: 3 })),
      loading,
    ],
  },
  {
    method: 'get',
    path: '/readyz',
    tag: 'Health',
    summary: 'Whether a session could be admitted now.',
    key: 'none',
    answers: [
      ok(
        'One could.',
        json('Ready', Ready, { status: 'ready', ready: true, slots: 8, leased: 3, workers: 2 }),
      ),
      {
        status: 503,
        description: 'None could.',
        content: [
          json('Ready', Ready, {
            status: 'not_ready',
            ready: false,
            reason: 'full',
            slots: 8,
            leased: 8,
            workers: 2,
          }),
        ],
      },
    ],
  },
  {
    method: 'get',
    path: '/api/stream_config',
    tag: 'Health',
    summary: 'How the voice pipeline is set.',
    key: 'none',
    answers: [
      ok(
        'Its settings.',
        json('StreamConfig', StreamConfig, {
          model_whisper: 'small-int8',
          vad_silence_ms: 700,
          partial_interval_ms: 1000,
          max_utterance_ms: 30_000,
          max_pending_phrases: 5,
          log_latency: true,
          llm_timeout_s: 30,
          tts_timeout_s: 10,
          enabled: true,
          pcm_chunk_size: 320,
          sample_rate: 16_000,
        }),
      ),
    ],
    refusals: [405],
  },
  {
    method: 'get',
    path: '/page/{name}',
    tag: 'Health',
    summary: 'A file of the pages.',
    key: 'none',
    parameters: [
      {
        name: 'name',
        in: 'path',
        description: 'Of the file.',
        schema: z.string(),
        example: 'page.css',
      },
    ],
    answers: [
      ok('The file.', { type: 'text/css' }, { type: 'text/javascript' }, { type: 'image/svg+xml' }),
      { status: 304, description: 'It is as its ETag says.' },
    ],
    refusals: [404],
  },
  {
    method: 'get',
    path: '/openapi.json',
    tag: 'Health',
    summary: 'This document.',
    key: 'none',
    answers: [ok('OpenAPI 3.1.', { type: 'application/json' })],
  },
  {
    method: 'get',
    path: '/docs',
    tag: 'Health',
    summary: 'This document as a page to read.',
    key: 'none',
    answers: [ok('The page.', html)],
  },
];
