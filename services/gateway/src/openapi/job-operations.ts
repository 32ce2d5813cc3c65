import { JOBS_PATH, JobList, JobState, JobView } from '@voice-fleet/protocol/jobs';
import { TRANSCRIPT_FORMATS } from '@voice-fleet/speech/transcript-formats';
import { z } from 'zod';
import { ListQuery } from '../jobs/jobs.controller.ts';
import { JobUrl, JobWishes } from '../jobs/recording-intake.ts';
import { FILE, json, type Operation, ok, type Parameter } from './operation.ts';
import { TRANSCRIPT } from './transcript-operations.ts';

const job: JobView = {
  id: 'job_0mj2k5f8q9a1b2c3d4e5f6a7b8c9',
  object: 'job',
  state: 'queued',
  progress: 0,
  priority: 'normal',
  model: null,
  language: null,
  metadata: { call: '4711' },
  webhook_url: null,
  created_at_ms: 1_795_910_400_000,
  started_at_ms: null,
  ended_at_ms: null,
  duration_s: null,
  attempts: 0,
  error: null,
};
/** Which job is meant, in a path. */
export const JOB_ID: Parameter = {
  name: 'id',
  in: 'path',
  description: 'Of the job.',
  schema: z.string(),
  example: job.id,
};
const jobJson = json('Job', JobView, job);
const tag = 'Batch jobs';

export const JOB_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: JOBS_PATH,
    tag,
    summary: 'Have a recording transcribed when there is time',
    description:
      'The recording comes with the form, or is fetched from a URL that the operator allows. Sent again with the same Idempotency-Key within a day, the same request is answered with the job that it made.',
    key: 'jobs',
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'A name for this request, of the client’s choice.',
        schema: z.string().max(255).optional(),
        example: 'call-4711',
      },
    ],
    body: [
      {
        type: 'multipart/form-data',
        name: 'JobForm',
        schema: z.object({ file: FILE, ...JobWishes.shape, metadata: z.string().optional() }),
        example: { file: 'call.mp3', metadata: '{"call":"4711"}' },
      },
      json('JobRequest', z.object({ url: JobUrl, ...JobWishes.shape }), {
        url: 'https://recordings.example.com/call.mp3',
        metadata: { call: '4711' },
      }),
    ],
    answers: [
      { status: 202, description: 'The job, which waits now.', content: [jobJson] },
      ok('The job that the same request made before.', jobJson),
    ],
    refusals: [400, 404, 409, 413, 415, 429, 503],
  },
  {
    method: 'get',
    path: JOBS_PATH,
    tag,
    summary: 'Your jobs, the newest first',
    key: 'jobs',
    parameters: [
      {
        name: 'limit',
        in: 'query',
        description: 'Jobs on a page.',
        schema: z.int().min(1).max(100).default(20),
        example: 20,
      },
      {
        name: 'cursor',
        in: 'query',
        description: 'next_cursor of the page before.',
        schema: ListQuery.shape.cursor,
        example: job.id,
      },
      {
        name: 'state',
        in: 'query',
        description: 'Only jobs in this state. A page may hold fewer than there are.',
        schema: JobState.optional(),
        example: 'queued',
      },
    ],
    answers: [
      ok('A page.', json('JobList', JobList, { object: 'list', data: [job], next_cursor: null })),
    ],
    refusals: [400, 503],
  },
  {
    method: 'get',
    path: `${JOBS_PATH}/{id}`,
    tag,
    summary: 'One job, and how far it is',
    key: 'jobs',
    parameters: [JOB_ID],
    answers: [ok('The job.', jobJson)],
    refusals: [404, 503],
  },
  {
    method: 'get',
    path: `${JOBS_PATH}/{id}/result`,
    tag,
    summary: 'The transcript of a job',
    key: 'jobs',
    parameters: [
      JOB_ID,
      {
        name: 'format',
        in: 'query',
        description: 'As response_format of /v1/audio/transcriptions.',
        schema: z.enum(TRANSCRIPT_FORMATS).default('json'),
        example: 'srt',
      },
    ],
    answers: [ok('The transcript.', ...TRANSCRIPT)],
    refusals: [400, 404, 409, 503],
  },
  {
    method: 'post',
    path: `${JOBS_PATH}/{id}/cancel`,
    tag,
    summary: 'Stop a job',
    description: 'A job that is over stays as it is.',
    key: 'jobs',
    parameters: [JOB_ID],
    answers: [ok('The job.', jobJson)],
    refusals: [404, 503],
  },
  {
    method: 'delete',
    path: `${JOBS_PATH}/{id}`,
    tag,
    summary: 'Stop a job, and forget its recording and its transcript',
    key: 'jobs',
    parameters: [JOB_ID],
    answers: [{ status: 204, description: 'It is gone.' }],
    refusals: [404, 503],
  },
];
