import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import { RedisUnavailable } from './redis.ts';
import type { ServedLease, WorkerRecord } from './worker.ts';
import type { WorkerRegistry } from './worker-registry.ts';

export interface WorkerAgentOptions {
  readonly registry: Pick<WorkerRegistry, 'beat' | 'register' | 'deregister'>;
  readonly clock: Clock;
  /** What the worker is now; asked before each beat. */
  readonly describe: () => WorkerRecord;
  /** All leases in service, those being verified included; asked before each registration. */
  readonly leases: () => readonly ServedLease[];
  /** Faults other than `RedisUnavailable`, which the connection's owner hears of already. */
  readonly onError: (error: unknown) => void;
  readonly intervalMs?: number;
}

export const BEAT_INTERVAL_MS = 1_000;
/** Redis may just be connecting. */
const LAST_WORD_RETRY_MS = 100;
const LAST_WORD_TRIES = 20;

/** Keeps one worker registered: beats, and registers anew whenever Redis no longer knows it. */
export class WorkerAgent {
  readonly #options: WorkerAgentOptions;
  readonly #intervalMs: number;
  #running = false;
  #timer: Timer | undefined;
  #beating: Promise<void> | undefined;
  #beatAgain = false;

  constructor(options: WorkerAgentOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? BEAT_INTERVAL_MS;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.announce();
  }

  /** Beats now instead of at the next interval, so that a change such as draining is seen at once. */
  announce(): void {
    if (!this.#running) return;
    if (this.#beating) {
      this.#beatAgain = true;
      return;
    }
    this.#timer?.cancel();
    this.#beating = this.#beat().then(() => {
      this.#beating = undefined;
      const again = this.#beatAgain;
      this.#beatAgain = false;
      if (again) this.announce();
      else if (this.#running)
        this.#timer = this.#options.clock.after(this.#intervalMs, () => this.announce());
    });
  }

  /** Ends the beats and takes the worker out of the fleet. Does not reject: Redis forgets a silent worker by itself. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#timer?.cancel();
    await this.#beating;
    await this.#guard(() => this.#options.registry.deregister(this.#options.describe().workerId));
  }

  /**
   * Ends the beats with one that says what the worker is at its end, and leaves that in the fleet until it expires. While
   * Redis is away it tries again for two seconds. Does not reject.
   */
  async leaveWord(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#timer?.cancel();
    await this.#beating;
    for (let tries = 1; !(await this.#beat()) && tries < LAST_WORD_TRIES; tries += 1)
      await sleep(this.#options.clock, LAST_WORD_RETRY_MS);
  }

  /** Whether Redis took it. */
  async #beat(): Promise<boolean> {
    const { registry, describe, leases } = this.#options;
    return this.#guard(async () => {
      if ((await registry.beat(describe())) === 'unknown')
        await registry.register(describe(), leases());
    });
  }

  async #guard(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) this.#options.onError(error);
      return false;
    }
  }
}
