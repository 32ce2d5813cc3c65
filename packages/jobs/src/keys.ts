import { createHash } from 'node:crypto';

/** All share one cluster hash tag, so that one script may touch those that must agree. */
const TAG = 'vf:{jobs}';

/** Prefix of BullMQ's own keys. */
export const QUEUE_PREFIX = TAG;
/** set, BullMQ's queues of jobs: each that ever had one. Owner: job-queue.ts. Never deleted, as models are few. */
export const QUEUES_KEY = `${TAG}:queues`;

/** BullMQ's queue of jobs that wait for an idle slot of a worker with this model; `undefined`: whatever it has. */
export function queueName(model: string | undefined): string {
  // BullMQ takes no colon in a name.
  return model === undefined ? 'recordings' : `recordings.${encodeURIComponent(model)}`;
}

/** hash, what is known of a job; see job-store.ts. Owner: lua/*.lua. Deleted with the job. */
export function recordKey(id: string): string {
  return `${TAG}:record:${id}`;
}

/** list, JSON of its finished segments, in order. Owner: append.lua. Deleted with the job. */
export function segmentsKey(id: string): string {
  return `${TAG}:segments:${id}`;
}

/** hash, what became of its webhook: body, attempts, and how it ended. Owner: webhook-*.lua. Deleted with the job. */
export function eventKey(id: string): string {
  return `${TAG}:event:${id}`;
}

/** list, attempts to send its webhook, the newest last. Owner: webhook-settle.lua. Deleted with the job. */
export function deliveriesKey(id: string): string {
  return `${TAG}:deliveries:${id}`;
}

/** list, jobs of a tenant whose webhooks are due, in turn. Owner: webhook-take.lua, which also skips those that are gone. */
export function dueKey(tenantId: string): string {
  return `${TAG}:due:${tenantId}`;
}

/** zset, all jobs of a tenant that are kept, in the order of their ids. Owner: create.lua; job-store.ts takes them out. */
export function tenantJobsKey(tenantId: string): string {
  return `${TAG}:tenant:${tenantId}`;
}

/** zset, job → Unix ms of its creation, those of a tenant that are not over. Owner: create.lua, end.lua. */
export function openJobsKey(tenantId: string): string {
  return `${TAG}:open:${tenantId}`;
}

/** hash, the request of a tenant that bore a name: its print, and the job it made. Owner: create.lua; it expires. */
export function requestKey(tenantId: string, name: string): string {
  // A name may be long, and hold anything.
  const digest = createHash('sha256').update(name).digest('base64url');
  return `${TAG}:request:${tenantId}:${digest}`;
}

/** string, there while a turn of something that one gateway does at a time is taken. Owner: job-store.ts; it expires. */
export function turnKey(what: string): string {
  return `${TAG}:turn:${what}`;
}

/** zset, job → Unix ms of its creation, all that are not over. Owner: create.lua, end.lua. */
export const OPEN_KEY = `${TAG}:open`;
/** zset, the same of jobs that are kept and maybe not queued. Owner: create.lua, end.lua; job-store.ts takes them out. */
export const UNQUEUED_KEY = `${TAG}:unqueued`;
/** zset, job → Unix ms of its end, all that are over. Owner: end.lua; job-store.ts takes them out. */
export const ENDED_KEY = `${TAG}:ended`;
/** zset, the same of those whose recording is gone: they are not in ENDED_KEY any more. Owner: job-store.ts. */
export const BARE_KEY = `${TAG}:bare`;
/** zset, job → Unix ms from which on its webhook may be sent, first the job's end. Owner: end.lua, webhook-*.lua. */
export const UNTOLD_KEY = `${TAG}:untold`;
/** list, tenants with webhooks that are due, in turn. Owner: webhook-take.lua. */
export const DUE_TENANTS_KEY = `${TAG}:due-tenants`;
/** zset, job → Unix ms until which a gateway has its webhook to send. Owner: webhook-*.lua. */
export const TELLING_KEY = `${TAG}:telling`;

/** hash, class/tenant → rank of its last job in a queue. Owner: rank.lua; deleted when no other job is there. */
export function ranksKey(queue: string): string {
  return `${TAG}:ranks:${queue}`;
}

/** hash, class → rank of the job of a queue begun last. Owner: ranked.lua; deleted when no other job is there. */
export function begunKey(queue: string): string {
  return `${TAG}:begun:${queue}`;
}
