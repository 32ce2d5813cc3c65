import { redisFault } from '@voice-fleet/fleet/redis';
import type { JobPriority } from '@voice-fleet/protocol/jobs';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { begunKey, QUEUE_PREFIX, QUEUES_KEY, queueName, ranksKey } from './keys.ts';
import { JobScripts } from './scripts.ts';

/** A job and the model that it waits for; absent: whatever a worker has. */
export interface JobAndModel {
  readonly id: string;
  readonly model?: string | undefined;
}

/** What BullMQ keeps of a job: all else is in the store. */
export interface QueuedJob extends JobAndModel {
  readonly priority: JobPriority;
  /** Its place in its class, from 1. */
  readonly rank: number;
}

/** Jobs by what they do: wait for a worker, are worked on, or wait to be tried again. */
export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
}

/** BullMQ serves lower numbers first, up to 2^21. Each class has its own range of them. */
const CLASS: Readonly<Record<JobPriority, number>> = { high: 0, normal: 1, low: 2 };
/** More places than these in one class are one: its jobs are served in the order in which they came. */
const MAX_RANK = 690_000;
/** What one job of a tenant of weight 1 costs. */
const COST = 1;

/**
 * The jobs that wait, in a line for each model and one for jobs that any will do. Those of a higher class go first; within one,
 * tenants take turns by their weights, however many jobs each has waiting. The ranks of a line begin anew when nothing is in it.
 */
export class JobQueue {
  readonly #redis: Redis;
  readonly #scripts: JobScripts;
  readonly #queues = new Map<string, Queue<QueuedJob>>();

  /** `redis` is not closed with the queue. */
  constructor(redis: Redis) {
    this.#redis = redis;
    this.#scripts = new JobScripts(redis);
  }

  /** Again with the same id: it is there once. `model` is one that workers serve, no other name of it. Throws `RedisUnavailable`. */
  async add(
    job: JobAndModel & {
      readonly tenantId: string;
      readonly priority: JobPriority;
      readonly weight: number;
    },
  ): Promise<void> {
    const { id, model, tenantId, priority, weight } = job;
    const name = queueName(model);
    const args = [priority, tenantId, COST / weight, MAX_RANK];
    const rank = Number(await this.#scripts.run('rank', [ranksKey(name), begunKey(name)], args));
    const data = { id, priority, rank, ...(model !== undefined && { model }) };
    await this.#asked(async () => {
      await this.#redis.sadd(QUEUES_KEY, name);
      await this.#queue(name).add('recording', data, {
        jobId: id,
        priority: CLASS[priority] * MAX_RANK + rank,
        removeOnComplete: true,
        removeOnFail: true,
      });
    });
  }

  /** A worker has begun this one. */
  async begun({ model, priority, rank }: QueuedJob): Promise<void> {
    const name = queueName(model);
    const counts = await this.#asked(() => countsOf(this.#queue(name)));
    const { waiting, delayed, active } = counts;
    // Others that are worked on may come back, with ranks that they have already.
    const args = [priority, rank, waiting + delayed === 0 && active <= 1 ? 1 : 0];
    await this.#scripts.run('ranked', [ranksKey(name), begunKey(name)], args);
  }

  /** Whether it waits here, or is worked on. */
  has({ id, model }: JobAndModel): Promise<boolean> {
    const queue = this.#queue(queueName(model));
    return this.#asked(async () => (await queue.getJob(id)) !== undefined);
  }

  /** The class of the job that is next in the line of a model; `undefined`: none waits, or only to be tried again. */
  nextClass(model: string | undefined): Promise<JobPriority | undefined> {
    const queue = this.#queue(queueName(model));
    return this.#asked(async () => (await queue.getPrioritized(0, 0))[0]?.data.priority);
  }

  /** Jobs that wait, to be tried again or not. */
  async waiting(): Promise<number> {
    const { waiting, delayed } = await this.counts();
    return waiting + delayed;
  }

  /** In all lines. Throws `RedisUnavailable`. */
  counts(): Promise<QueueCounts> {
    return this.#asked(async () => {
      const names = await this.#redis.smembers(QUEUES_KEY);
      const all = await Promise.all(names.map((name) => countsOf(this.#queue(name))));
      const sum = (state: keyof QueueCounts): number =>
        all.reduce((total, counts) => total + counts[state], 0);
      return { waiting: sum('waiting'), active: sum('active'), delayed: sum('delayed') };
    });
  }

  /** One that is being worked on stays until its worker lets go of it. */
  async remove({ id, model }: JobAndModel): Promise<void> {
    await this.#asked(() => this.#queue(queueName(model)).remove(id));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #queue(name: string): Queue<QueuedJob> {
    const known = this.#queues.get(name);
    if (known) return known;
    const queue = new Queue<QueuedJob>(name, {
      connection: this.#redis,
      prefix: QUEUE_PREFIX,
      skipVersionCheck: true,
    });
    // Faults are told by the connection's owner, and by what rejects.
    queue.on('error', () => undefined);
    this.#queues.set(name, queue);
    return queue;
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw redisFault(error);
    }
  }
}

async function countsOf(queue: Queue<QueuedJob>): Promise<QueueCounts> {
  const found = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
  const { active = 0, delayed = 0, waiting = 0, prioritized = 0 } = found;
  return { waiting: waiting + prioritized, active, delayed };
}
