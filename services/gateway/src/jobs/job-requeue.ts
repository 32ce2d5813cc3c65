import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { JobQueue } from '@voice-fleet/jobs/job-queue';
import type { JobStore } from '@voice-fleet/jobs/job-store';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

const LOOK_MS = 5_000;
/** Whoever made a job has queued it by then. */
const LATE_MS = 10_000;
/** Looked at once. */
const BATCH = 100;

export interface RequeueDeps {
  readonly clock: Clock;
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly onError: (error: unknown) => void;
}

/** Queues jobs that were kept and never reached the queue, as when a gateway died between the two. Several may do so at a time. */
export class JobRequeue {
  readonly #deps: RequeueDeps;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;

  constructor(deps: RequeueDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = this.#deps.clock.every(LOOK_MS, () => {
      this.#looking ??= this.look()
        .catch(this.#deps.onError)
        .finally(() => {
          this.#looking = undefined;
        });
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#looking;
  }

  /** Once. Rejects with RedisUnavailable. */
  async look(): Promise<void> {
    const { clock, store, onError } = this.#deps;
    for (const id of await store.unqueued(clock.wallNow() - LATE_MS, BATCH)) {
      // One that cannot be read keeps none of the others.
      await this.#queue(id).catch((error: unknown) => {
        if (error instanceof RedisUnavailable) throw error;
        onError(error);
      });
    }
  }

  async #queue(id: string): Promise<void> {
    const { store, queue } = this.#deps;
    const job = await store.get(id);
    if (job?.state === 'queued' && !(await queue.has(job))) {
      const { tenantId, model, weight, options } = job;
      await queue.add({ id, tenantId, model, weight, priority: options.priority });
    }
    await store.queued(id);
  }
}
