import type { JobView } from '@voice-fleet/protocol/jobs';
import type { WebhookEvent } from '@voice-fleet/protocol/webhooks';

/** Without a dot, which parts the id from the rest of what is signed. */
export function webhookEventId(jobId: string): string {
  return `evt_${jobId.replaceAll('.', '_')}`;
}

/** Throws RangeError for a job that is not over. */
export function webhookEvent(job: JobView): WebhookEvent {
  const { id, state, ended_at_ms: endedAtMs } = job;
  if (state === 'queued' || state === 'running' || endedAtMs === null)
    throw new RangeError(`job ${id} is not over`);
  return {
    id: webhookEventId(id),
    type: `job.${state}`,
    created_at: new Date(endedAtMs).toISOString(),
    data: job,
  };
}
