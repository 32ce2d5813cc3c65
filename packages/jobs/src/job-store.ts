import { redisFault } from '@voice-fleet/fleet/redis';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { JobRecord, JobSegment, JobState } from './job.ts';
import { ENDED_KEY, openJobsKey, recordKey, segmentsKey, tenantJobsKey } from './keys.ts';
import { JobScripts } from './scripts.ts';

/** What never changes of a job. */
export const JobSpec = JobRecord.pick({
  id: true,
  tenantId: true,
  keyId: true,
  options: true,
  audioKey: true,
  createdAtMs: true,
});
export type JobSpec = z.infer<typeof JobSpec>;

export type JobError = NonNullable<JobRecord['error']>;
/** `known`: the id is taken, maybe by an earlier try whose answer was lost. */
export type Creation = 'created' | 'known' | 'too_many';
/** `exhausted`: it was tried as often as it may; whoever hears this ends it. */
export type Beginning =
  | { readonly kind: 'begun'; readonly segments: number }
  | { readonly kind: 'gone' | 'over' | 'exhausted' };

const CreateReply = z.enum(['created', 'known', 'too_many']);
const BeginReply = z.union([
  z.tuple([z.literal('begun'), z.int()]),
  z.tuple([z.enum(['gone', 'over', 'exhausted'])]),
]);
const Flag = z.union([z.literal(0), z.literal(1)]).transform(Boolean);

/** The hash of a job, as Redis gives it. */
const Stored = z
  .object({
    spec: z.string(),
    state: JobState,
    attempts: z.coerce.number().int(),
    done: z.coerce.number().int(),
    duration: z.coerce.number().int().optional(),
    started: z.coerce.number().optional(),
    ended: z.coerce.number().optional(),
    error: z.string().optional(),
  })
  .transform((stored) =>
    JobRecord.parse({
      ...JobSpec.parse(JSON.parse(stored.spec)),
      state: stored.state,
      attempts: stored.attempts,
      doneSamples: stored.done,
      ...(stored.duration !== undefined && { durationSamples: stored.duration }),
      ...(stored.started !== undefined && { startedAtMs: stored.started }),
      ...(stored.ended !== undefined && { endedAtMs: stored.ended }),
      ...(stored.error !== undefined && { error: JSON.parse(stored.error) }),
    }),
  );

/**
 * What is known of batch jobs. A runner is whoever works on one: what a runner writes counts only while the job is its own.
 * Every method may throw `RedisUnavailable`.
 */
export class JobStore {
  readonly #redis: Redis;
  readonly #scripts: JobScripts;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#scripts = new JobScripts(redis);
  }

  /** `maxOpen`: jobs of the tenant that are not over, at the most; 0 for any number. */
  async create(spec: JobSpec, maxOpen: number): Promise<Creation> {
    const { id, tenantId, createdAtMs } = spec;
    const keys = [recordKey(id), tenantJobsKey(tenantId), openJobsKey(tenantId)];
    const args = [id, JSON.stringify(JobSpec.parse(spec)), createdAtMs, maxOpen];
    return CreateReply.parse(await this.#scripts.run('create', keys, args));
  }

  async get(id: string): Promise<JobRecord | undefined> {
    const stored = await this.#asked(this.#redis.hgetall(recordKey(id)));
    return Object.keys(stored).length === 0 ? undefined : Stored.parse(stored);
  }

  async state(id: string): Promise<JobState | undefined> {
    const state = await this.#asked(this.#redis.hget(recordKey(id), 'state'));
    return state === null ? undefined : JobState.parse(state);
  }

  /** Ids of a tenant, the newest first; those created before `beforeMs` only. */
  async list(tenantId: string, limit: number, beforeMs?: number): Promise<string[]> {
    const from = beforeMs === undefined ? '+inf' : `(${beforeMs}`;
    const key = tenantJobsKey(tenantId);
    return this.#asked(this.#redis.zrevrangebyscore(key, from, '-inf', 'LIMIT', 0, limit));
  }

  async segments(id: string): Promise<JobSegment[]> {
    const lines = await this.#asked(this.#redis.lrange(segmentsKey(id), 0, -1));
    return lines.map((line) => JobSegment.parse(JSON.parse(line)));
  }

  async begin(id: string, runner: string, nowMs: number, maxAttempts: number): Promise<Beginning> {
    const keys = [recordKey(id), segmentsKey(id)];
    const [kind, segments = 0] = BeginReply.parse(
      await this.#scripts.run('begin', keys, [runner, nowMs, maxAttempts]),
    );
    return kind === 'begun' ? { kind, segments } : { kind };
  }

  /** False: the job is not this runner's any more. */
  async append(
    id: string,
    runner: string,
    segment: JobSegment,
    durationSamples: number,
  ): Promise<boolean> {
    const keys = [recordKey(id), segmentsKey(id)];
    const json = JSON.stringify(JobSegment.parse(segment));
    const args = [runner, segment.index, json, segment.toSample, durationSamples];
    return Flag.parse(await this.#scripts.run('append', keys, args));
  }

  /** Gives a job back. `gaveWay`: nothing went wrong, so the attempt does not count. False as `append`. */
  async leave(id: string, runner: string, { gaveWay }: { gaveWay: boolean }): Promise<boolean> {
    const args = [runner, gaveWay ? 1 : 0];
    return Flag.parse(await this.#scripts.run('leave', [recordKey(id)], args));
  }

  /** Ends a job, and tells whether this was what ended it. Without a `runner`: whoever has it. */
  async end(
    { id, tenantId }: Pick<JobRecord, 'id' | 'tenantId'>,
    state: Exclude<JobState, 'queued' | 'running'>,
    how: { runner?: string; nowMs: number; error?: JobError },
  ): Promise<boolean> {
    const { runner = '', nowMs, error } = how;
    const keys = [recordKey(id), openJobsKey(tenantId), ENDED_KEY];
    const args = [id, runner, state, nowMs, error === undefined ? '' : JSON.stringify(error)];
    return Flag.parse(await this.#scripts.run('end', keys, args));
  }

  /** Forgets a job that is over. */
  async delete({ id, tenantId }: Pick<JobRecord, 'id' | 'tenantId'>): Promise<void> {
    const pipeline = this.#redis.multi();
    pipeline.del(recordKey(id), segmentsKey(id));
    pipeline.zrem(tenantJobsKey(tenantId), id);
    pipeline.zrem(openJobsKey(tenantId), id);
    await this.#asked(pipeline.exec());
  }

  async #asked<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      throw redisFault(error);
    }
  }
}
