import { z } from 'zod';

export const JOBS_PATH = '/v1/jobs';

/** A recording that is transcribed when a slot is idle. `quarantined`: it was tried as often as it may, and each time took its worker down or failed. */
export const JOB_STATES = [
  'queued',
  'running',
  'completed',
  'failed',
  'cancelled',
  'quarantined',
] as const;
export const JobState = z.enum(JOB_STATES);
export type JobState = z.infer<typeof JobState>;

/** Jobs in one of these are not touched any more. */
export const JOB_IS_OVER: Readonly<Record<JobState, boolean>> = {
  queued: false,
  running: false,
  completed: true,
  failed: true,
  cancelled: true,
  quarantined: true,
};

export const JobPriority = z.enum(['high', 'normal', 'low']);
export type JobPriority = z.infer<typeof JobPriority>;

/** A job as its client sees it. Times are Unix ms. */
export const JobView = z.object({
  id: z.string(),
  object: z.literal('job'),
  state: JobState,
  /** Of the recording; 1 when it is completed. */
  progress: z.number().min(0).max(1),
  priority: JobPriority,
  model: z.string().nullable(),
  language: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  webhook_url: z.string().nullable(),
  created_at_ms: z.int(),
  started_at_ms: z.int().nullable(),
  ended_at_ms: z.int().nullable(),
  duration_s: z.number().nullable(),
  attempts: z.int(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type JobView = z.infer<typeof JobView>;

export const JobList = z.object({
  object: z.literal('list'),
  data: z.array(JobView),
  /** `cursor` of the next page. */
  next_cursor: z.string().nullable(),
});
export type JobList = z.infer<typeof JobList>;
