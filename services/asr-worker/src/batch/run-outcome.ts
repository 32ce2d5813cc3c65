import type { JobState } from '@voice-fleet/protocol/jobs';

/** What became of a run: `lost`: another has the job, or it was cancelled. */
export type RunOutcome = Exclude<JobState, 'queued' | 'running'> | 'lost';

/** All that may become of a run, its job given back included. */
export const RUN_OUTCOMES = [
  'completed',
  'failed',
  'cancelled',
  'quarantined',
  'lost',
  'gave_way',
  'retried',
] as const satisfies readonly (RunOutcome | 'gave_way' | 'retried')[];
export type RunEnd = (typeof RUN_OUTCOMES)[number];
