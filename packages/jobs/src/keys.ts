/** All share one cluster hash tag, so that one script may touch those that must agree. */
const TAG = 'vf:{jobs}';

/** Prefix of BullMQ's own keys. */
export const QUEUE_PREFIX = TAG;
/** Jobs that wait for an idle slot. */
export const JOB_QUEUE = 'recordings';

/** hash, what is known of a job; see job-store.ts. Owner: lua/*.lua. Deleted with the job. */
export function recordKey(id: string): string {
  return `${TAG}:record:${id}`;
}

/** list, JSON of its finished segments, in order. Owner: append.lua. Deleted with the job. */
export function segmentsKey(id: string): string {
  return `${TAG}:segments:${id}`;
}

/** zset, job → Unix time in ms of its creation; all of a tenant that are kept. Owner: create.lua. */
export function tenantJobsKey(tenantId: string): string {
  return `${TAG}:tenant:${tenantId}`;
}

/** zset, the same of those that are not over. Owner: create.lua, end.lua. */
export function openJobsKey(tenantId: string): string {
  return `${TAG}:open:${tenantId}`;
}

/** list, jobs that have ended and of which nobody was told yet. Owner: end.lua; taken by whoever tells. */
export const ENDED_KEY = `${TAG}:ended`;
/** hash, class/tenant → rank of its last job. Owner: rank.lua; deleted when no job waits. */
export const RANKS_KEY = `${TAG}:ranks`;
/** hash, class → rank of the job begun last. Owner: ranked.lua; deleted when no job waits. */
export const BEGUN_KEY = `${TAG}:begun`;
