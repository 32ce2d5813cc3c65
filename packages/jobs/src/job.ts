import { JobPriority, JobState } from '@voice-fleet/protocol/jobs';
import { z } from 'zod';

/** What a client may wish for its job. */
export const JobOptions = z.strictObject({
  model: z.string().min(1).max(200).optional(),
  language: z.string().min(2).max(20).optional(),
  priority: JobPriority.default('normal'),
  /** Told of every change of state that ends the job. */
  webhookUrl: z.url().max(2_000).optional(),
  /** The client's own, given back as it is. */
  metadata: z.record(z.string().max(64), z.string().max(512)).optional(),
});
export type JobOptions = z.infer<typeof JobOptions>;

/** A word of a finished job; times are samples of the recording at 16 kHz. */
export const JobWord = z.strictObject({
  text: z.string(),
  startSample: z.int().nonnegative(),
  endSample: z.int().nonnegative(),
  confidence: z.number().min(0).max(1).optional(),
});

/** A piece of the recording, cut at a pause, that was transcribed to its end. The same recording is always cut in the same way. */
export const JobSegment = z.strictObject({
  index: z.int().nonnegative(),
  fromSample: z.int().nonnegative(),
  toSample: z.int().nonnegative(),
  words: z.array(JobWord),
});
export type JobSegment = z.infer<typeof JobSegment>;

/** A job as it is kept. Times are Unix ms. */
export const JobRecord = z.strictObject({
  id: z.string(),
  tenantId: z.string(),
  keyId: z.string(),
  state: JobState,
  options: JobOptions,
  /** What its client means by the model of its options, as workers name it; absent: whatever is served. */
  model: z.string().optional(),
  /** Key of the recording in the blob store; of a finished job it may be gone. */
  audioKey: z.string(),
  /** Of its tenant when it was made: of two that wait, twice the weight gets twice the turns. */
  weight: z.number().positive(),
  createdAtMs: z.number(),
  /** Of the request that asked for it, where that was traced; W3C's `traceparent`. */
  traceparent: z.string().max(128).optional(),
  startedAtMs: z.number().optional(),
  endedAtMs: z.number().optional(),
  /** Of the recording, known as soon as it was decoded once. */
  durationSamples: z.int().optional(),
  /** Audio of finished segments. */
  doneSamples: z.int(),
  /** Times that it was begun and not ended by giving way to a live session. */
  attempts: z.int(),
  /** Of a job that failed. */
  error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
});
export type JobRecord = z.infer<typeof JobRecord>;
