import { redisFault } from '@voice-fleet/fleet/redis';
import { JobState } from '@voice-fleet/protocol/jobs';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { JobOptions, JobRecord, JobSegment, JobWord } from './job.ts';
import {
  BARE_KEY,
  deliveriesKey,
  ENDED_KEY,
  eventKey,
  OPEN_KEY,
  openJobsKey,
  recordKey,
  requestKey,
  segmentsKey,
  TELLING_KEY,
  tenantJobsKey,
  turnKey,
  UNQUEUED_KEY,
  UNTOLD_KEY,
} from './keys.ts';
import { JobScripts } from './scripts.ts';

/** What never changes of a job. */
export const JobSpec = JobRecord.pick({
  id: true,
  tenantId: true,
  keyId: true,
  options: true,
  model: true,
  audioKey: true,
  weight: true,
  createdAtMs: true,
  traceparent: true,
});
export type JobSpec = z.infer<typeof JobSpec>;

export type JobError = NonNullable<JobRecord['error']>;
/** Jobs that are not over, at the most; 0 for any number. */
export interface JobBounds {
  readonly ofTenant: number;
  readonly ofAll: number;
}

/** A request that its client may send again, without knowing whether it was heard. */
export interface NamedRequest {
  readonly name: string;
  /** Of all that makes two requests the same. */
  readonly print: string;
  readonly keptMs: number;
}

/**
 * `known`: the id is taken, maybe by an earlier try whose answer was lost. `same`: that job was made by the same request before;
 * `conflict`: another request had its name.
 */
export type Creation =
  | { readonly kind: 'created' | 'known' | 'too_many' | 'full' | 'conflict' }
  | { readonly kind: 'same'; readonly id: string };
/** A page of a list, and where the next begins unless it was the last. */
export interface JobPage {
  readonly jobs: readonly JobRecord[];
  readonly cursor?: string;
}
/** `exhausted`: it was tried as often as it may; whoever hears this ends it. */
export type Beginning =
  | { readonly kind: 'begun'; readonly segments: number }
  | { readonly kind: 'gone' | 'over' | 'exhausted' };

const CreateReply = z.union([
  z
    .tuple([z.enum(['created', 'known', 'too_many', 'full', 'conflict'])])
    .transform(([kind]): Creation => ({ kind })),
  z.tuple([z.literal('same'), z.string()]).transform(([kind, id]): Creation => ({ kind, id })),
]);
const BeginReply = z.union([
  z.tuple([z.literal('begun'), z.int()]),
  z.tuple([z.enum(['gone', 'over', 'exhausted'])]),
]);
const Flag = z.union([z.literal(0), z.literal(1)]).transform(Boolean);

/** Looked at for one page. */
const LOOKED_AT_MAX = 1000;
/** Of these at once, however few the page may hold. */
const LOOKED_AT_ONCE = 100;

/** What a newer version wrote beside what is known here is let go: while versions change, both read the same jobs. */
const StoredSpec = z.object({ ...JobSpec.shape, options: z.object(JobOptions.shape) });
const StoredSegment = z.object({ ...JobSegment.shape, words: z.array(z.object(JobWord.shape)) });

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
      ...StoredSpec.parse(JSON.parse(stored.spec)),
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

  /** Of `request`, the first decides; without one each call is a new job. */
  async create(spec: JobSpec, bounds: JobBounds, request?: NamedRequest): Promise<Creation> {
    const { id, tenantId, createdAtMs } = spec;
    const { name = '', print = '', keptMs = 0 } = request ?? {};
    const keys = [
      recordKey(id),
      tenantJobsKey(tenantId),
      openJobsKey(tenantId),
      OPEN_KEY,
      UNQUEUED_KEY,
      requestKey(tenantId, name),
    ];
    const webhook = spec.options.webhookUrl === undefined ? 0 : 1;
    const json = JSON.stringify(JobSpec.parse(spec));
    const { ofTenant, ofAll } = bounds;
    const args = [id, json, createdAtMs, ofTenant, ofAll, webhook, print, keptMs];
    return CreateReply.parse(await this.#scripts.run('create', keys, args));
  }

  /** What became of an earlier request of that name. */
  async made(
    tenantId: string,
    name: string,
  ): Promise<{ readonly id: string; readonly print: string } | undefined> {
    const [id, print] = await this.#asked(
      this.#redis.hmget(requestKey(tenantId, name), 'job', 'print'),
    );
    return id && print ? { id, print } : undefined;
  }

  /** The queue has it. */
  async queued(id: string): Promise<void> {
    await this.#asked(this.#redis.zrem(UNQUEUED_KEY, id));
  }

  /** Jobs of before `beforeMs` that maybe never reached the queue, the oldest first. */
  async unqueued(beforeMs: number, limit: number): Promise<string[]> {
    const asked = this.#redis.zrangebyscore(UNQUEUED_KEY, '-inf', beforeMs, 'LIMIT', 0, limit);
    return await this.#asked(asked);
  }

  async get(id: string): Promise<JobRecord | undefined> {
    const stored = await this.#asked(this.#redis.hgetall(recordKey(id)));
    return Object.keys(stored).length === 0 ? undefined : Stored.parse(stored);
  }

  async state(id: string): Promise<JobState | undefined> {
    const state = await this.#asked(this.#redis.hget(recordKey(id), 'state'));
    return state === null ? undefined : JobState.parse(state);
  }

  /** Jobs of a tenant, the newest first. One with `state` may hold fewer than there are, and a cursor, when few are in it. */
  async list(
    tenantId: string,
    { limit, cursor, state }: { limit: number; cursor?: string; state?: JobState },
  ): Promise<JobPage> {
    const jobs: JobRecord[] = [];
    let from = cursor;
    const step = state === undefined ? limit : Math.max(limit, LOOKED_AT_ONCE);
    for (let looked = 0; looked < LOOKED_AT_MAX; looked += step) {
      const start = from === undefined ? '+' : `(${from}`;
      const key = tenantJobsKey(tenantId);
      const asked = this.#redis.zrevrangebylex(key, start, '-', 'LIMIT', 0, step);
      const ids = await this.#asked(asked);
      for (const job of await Promise.all(ids.map((id) => this.get(id)))) {
        if (!job || (state !== undefined && job.state !== state)) continue;
        jobs.push(job);
        if (jobs.length === limit) return { jobs, cursor: job.id };
      }
      if (ids.length < step) return { jobs };
      from = ids.at(-1);
    }
    return { jobs, ...(from !== undefined && { cursor: from }) };
  }

  async segments(id: string): Promise<JobSegment[]> {
    const lines = await this.#asked(this.#redis.lrange(segmentsKey(id), 0, -1));
    return lines.map((line) => StoredSegment.parse(JSON.parse(line)));
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
    const ofTenant = openJobsKey(tenantId);
    const keys = [recordKey(id), ofTenant, OPEN_KEY, UNQUEUED_KEY, ENDED_KEY, UNTOLD_KEY];
    const args = [id, runner, state, nowMs, error === undefined ? '' : JSON.stringify(error)];
    return Flag.parse(await this.#scripts.run('end', keys, args));
  }

  /** Jobs that ended before `beforeMs` and whose recordings are not known to be gone, the oldest first. */
  async withRecordings(beforeMs: number, limit: number): Promise<string[]> {
    const asked = this.#redis.zrangebyscore(ENDED_KEY, '-inf', beforeMs, 'LIMIT', 0, limit);
    return await this.#asked(asked);
  }

  /** Jobs that ended before `beforeMs` and whose recordings are gone, the oldest first. */
  async withoutRecordings(beforeMs: number, limit: number): Promise<string[]> {
    const asked = this.#redis.zrangebyscore(BARE_KEY, '-inf', beforeMs, 'LIMIT', 0, limit);
    return await this.#asked(asked);
  }

  /** The recording of a job that ended at `endedAtMs` is gone. */
  async recordingGone(id: string, endedAtMs: number): Promise<void> {
    const pipeline = this.#redis.multi();
    pipeline.zrem(ENDED_KEY, id);
    pipeline.zadd(BARE_KEY, endedAtMs, id);
    await this.#asked(pipeline.exec());
  }

  /** Its recording is there still: it counts among `withRecordings` as if the job had ended at `asIfEndedMs`. */
  async sweepLater(id: string, asIfEndedMs: number): Promise<void> {
    await this.#asked(this.#redis.zadd(ENDED_KEY, 'XX', asIfEndedMs, id));
  }

  /** Whether the caller is the one that does `what`: of all that ask within `turnMs`, the first is. */
  async takeTurn(what: 'sweep' | 'orphans', turnMs: number): Promise<boolean> {
    const asked = this.#redis.set(turnKey(what), 1, 'PX', turnMs, 'NX');
    return (await this.#asked(asked)) !== null;
  }

  /** There is nothing to clear up after a job whose record is gone. */
  async forget(id: string): Promise<void> {
    await this.#asked(this.#redis.multi().zrem(ENDED_KEY, id).zrem(BARE_KEY, id).exec());
  }

  /** Forgets a job that is over. */
  async delete({ id, tenantId }: Pick<JobRecord, 'id' | 'tenantId'>): Promise<void> {
    const pipeline = this.#redis.multi();
    pipeline.del(recordKey(id), segmentsKey(id), eventKey(id), deliveriesKey(id));
    pipeline.zrem(tenantJobsKey(tenantId), id);
    for (const key of [ENDED_KEY, BARE_KEY, UNTOLD_KEY, TELLING_KEY]) pipeline.zrem(key, id);
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
