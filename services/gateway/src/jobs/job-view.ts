import type { JobRecord } from '@voice-fleet/jobs/job';
import type { JobView } from '@voice-fleet/protocol/jobs';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** A job as its client sees it. */
export function jobView(job: JobRecord): JobView {
  const { options, durationSamples, doneSamples } = job;
  const share = durationSamples ? Math.min(1, doneSamples / durationSamples) : 0;
  return {
    id: job.id,
    object: 'job',
    state: job.state,
    progress: job.state === 'completed' ? 1 : Math.floor(share * 1000) / 1000,
    priority: options.priority,
    model: options.model ?? null,
    language: options.language ?? null,
    metadata: options.metadata ?? {},
    webhook_url: options.webhookUrl ?? null,
    created_at_ms: job.createdAtMs,
    started_at_ms: job.startedAtMs ?? null,
    ended_at_ms: job.endedAtMs ?? null,
    duration_s: durationSamples === undefined ? null : durationSamples / SAMPLE_RATE,
    attempts: job.attempts,
    error: job.error ?? null,
  };
}
