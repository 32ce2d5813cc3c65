import type { JobQueue, QueuedJob } from '@voice-fleet/jobs/job-queue';
import { QUEUE_PREFIX, queueName } from '@voice-fleet/jobs/keys';
import { JobPriority } from '@voice-fleet/protocol/jobs';
import { createRedisBackend, type Job, Worker } from 'bullmq';
import type { Redis } from 'ioredis';

export interface JobLinesDeps {
  readonly redis: Redis;
  readonly queue: JobQueue;
  /** That the worker serves. */
  readonly model: string;
  /** Jobs of a worker that is silent for so long are given to another. */
  readonly lockMs: number;
  /** A job was given back to its line, as its worker was not heard of. */
  readonly onStalled: () => void;
  readonly onError: (error: unknown) => void;
}

interface Line {
  readonly model: string | undefined;
  readonly worker: Worker<QueuedJob>;
}

const CLASSES: readonly (JobPriority | undefined)[] = [...JobPriority.options, undefined];

/** The lines that a worker serves: of jobs that want its model, and of jobs that any will do. */
export class JobLines {
  readonly #queue: JobQueue;
  /** The one that was served last is the last. */
  #lines: readonly Line[];

  constructor(deps: JobLinesDeps) {
    const { redis, queue, model, lockMs, onStalled, onError } = deps;
    this.#queue = queue;
    this.#lines = [model, undefined].map((of) => {
      const options = {
        connection: redis,
        prefix: QUEUE_PREFIX,
        autorun: false,
        skipVersionCheck: true,
        lockDuration: lockMs,
        stalledInterval: lockMs / 2,
        // Attempts are counted with the record, where giving way is told from a crash.
        maxStalledCount: Number.MAX_SAFE_INTEGER,
      };
      // Nothing here blocks, so the connection of the process will do.
      const worker = new Worker<QueuedJob>(queueName(of), null, options, (name, own) =>
        createRedisBackend(name, own),
      );
      worker.on('error', onError).on('stalled', () => onStalled());
      void worker.startStalledCheckTimer().catch(onError);
      return { model: of, worker };
    });
  }

  /** The next job: of the higher class, and where both lines have one of it they take turns. Throws what Redis says. */
  async take(run: string): Promise<Job<QueuedJob> | undefined> {
    const lines = await Promise.all(
      this.#lines.map(async (line) => ({ line, next: await this.#queue.nextClass(line.model) })),
    );
    lines.sort((one, other) => CLASSES.indexOf(one.next) - CLASSES.indexOf(other.next));
    for (const { line } of lines) {
      const job = await line.worker.getNextJob(run, { block: false });
      if (!job) continue;
      this.#lines = [...this.#lines.filter((each) => each !== line), line];
      return job;
    }
    return undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#lines.map(({ worker }) => worker.close(true)));
  }
}
