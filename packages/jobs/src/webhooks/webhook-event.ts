import { JOB_IS_OVER } from '@voice-fleet/protocol/jobs';
import type { JobRecord } from '../job.ts';

export type WebhookEventType = `job.${'completed' | 'failed' | 'cancelled' | 'quarantined'}`;

/** What a webhook tells. A job ends once, so it has one event, whose id is made from its own. */
export interface WebhookEvent {
  readonly id: string;
  readonly type: WebhookEventType;
  /** ISO 8601, when the job ended. */
  readonly created_at: string;
  /** The job as its client sees it elsewhere. */
  readonly data: object;
}

/** Without a dot, which parts the id from the rest of what is signed. */
export function webhookEventId(jobId: string): string {
  return `evt_${jobId.replaceAll('.', '_')}`;
}

/** Throws RangeError for a job that is not over. */
export function webhookEvent(job: JobRecord, data: object): WebhookEvent {
  const { id, state, endedAtMs } = job;
  if (!JOB_IS_OVER[state] || state === 'queued' || state === 'running' || endedAtMs === undefined)
    throw new RangeError(`job ${id} is ${state}`);
  return {
    id: webhookEventId(id),
    type: `job.${state}`,
    created_at: new Date(endedAtMs).toISOString(),
    data,
  };
}
