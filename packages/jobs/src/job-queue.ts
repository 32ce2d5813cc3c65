import { redisFault } from '@voice-fleet/fleet/redis';
import type { JobPriority } from '@voice-fleet/protocol/jobs';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { BEGUN_KEY, JOB_QUEUE, QUEUE_PREFIX, RANKS_KEY } from './keys.ts';
import { JobScripts } from './scripts.ts';

/** What BullMQ keeps of a job: all else is in the store. */
export interface QueuedJob {
  readonly id: string;
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
 * The jobs that wait. Those of a higher class go first; within one, tenants take turns by their weights, however many jobs each
 * has waiting. Ranks begin anew when nothing waits.
 */
export class JobQueue {
  readonly #queue: Queue<QueuedJob>;
  readonly #scripts: JobScripts;

  /** `redis` is not closed with the queue. */
  constructor(redis: Redis) {
    this.#queue = new Queue<QueuedJob>(JOB_QUEUE, {
      connection: redis,
      prefix: QUEUE_PREFIX,
      skipVersionCheck: true,
    });
    this.#scripts = new JobScripts(redis);
    // Faults are told by the connection's owner, and by what rejects.
    this.#queue.on('error', () => undefined);
  }

  /** Again with the same id: it is there once. Throws `RedisUnavailable`. */
  async add(job: {
    readonly id: string;
    readonly tenantId: string;
    readonly priority: JobPriority;
    readonly weight: number;
  }): Promise<void> {
    const { id, tenantId, priority, weight } = job;
    const args = [priority, tenantId, COST / weight, MAX_RANK];
    const rank = Number(await this.#scripts.run('rank', [RANKS_KEY, BEGUN_KEY], args));
    try {
      await this.#queue.add(
        'recording',
        { id, priority, rank },
        {
          jobId: id,
          priority: CLASS[priority] * MAX_RANK + rank,
          removeOnComplete: true,
          removeOnFail: true,
        },
      );
    } catch (error) {
      throw redisFault(error);
    }
  }

  /** A worker has begun this one. */
  async begun({ priority, rank }: QueuedJob): Promise<void> {
    const waiting = await this.waiting();
    const args = [priority, rank, waiting === 0 ? 1 : 0];
    await this.#scripts.run('ranked', [RANKS_KEY, BEGUN_KEY], args);
  }

  /** Whether it waits here, or is worked on. */
  async has(id: string): Promise<boolean> {
    try {
      return (await this.#queue.getJob(id)) !== undefined;
    } catch (error) {
      throw redisFault(error);
    }
  }

  async waiting(): Promise<number> {
    try {
      const counts = await this.#queue.getJobCounts('waiting', 'prioritized', 'delayed');
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    } catch (error) {
      throw redisFault(error);
    }
  }

  /** Throws `RedisUnavailable`. */
  async counts(): Promise<QueueCounts> {
    try {
      const found = await this.#queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
      const { active = 0, delayed = 0, ...waiting } = found;
      return { waiting: Object.values(waiting).reduce((a, b) => a + b, 0), active, delayed };
    } catch (error) {
      throw redisFault(error);
    }
  }

  /** One that is being worked on stays until its worker lets go of it. */
  async remove(id: string): Promise<void> {
    try {
      await this.#queue.remove(id);
    } catch (error) {
      throw redisFault(error);
    }
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}
