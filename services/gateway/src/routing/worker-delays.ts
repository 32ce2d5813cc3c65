import type { WorkerDelay } from '@voice-fleet/fleet/worker';
import type { Clock } from '@voice-fleet/runtime/clock';

export interface WorkerDelaysDeps {
  readonly read: () => Promise<readonly WorkerDelay[]>;
  readonly clock: Clock;
  /** A read failed. */
  readonly onError: (error: unknown) => void;
}

/** The workers of one delay. */
export interface DelayTier {
  readonly delayMs: number;
  /** Workers of any other delay, or of none. */
  readonly others: readonly string[];
}

/** Sessions that wish for a delay may come many at a time, and workers change seldom. */
const FRESH_MS = 1_000;

/** Which delay the transcripts of each worker have, as seen at most a second ago; while Redis is away, as seen last. */
export class WorkerDelays {
  readonly #deps: WorkerDelaysDeps;
  #known: readonly WorkerDelay[] = [];
  #readMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(deps: WorkerDelaysDeps) {
    this.#deps = deps;
  }

  /** The delays of ready workers, the nearest first; of two that are as near, the shorter. */
  async nearest(wishMs: number): Promise<readonly DelayTier[]> {
    if (this.#deps.clock.now() - this.#readMs >= FRESH_MS) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    const ready = this.#known.filter((worker) => worker.ready);
    const delays = new Set(
      ready.flatMap(({ delayMs }) => (delayMs === undefined ? [] : [delayMs])),
    );
    const farness = (delayMs: number): number => Math.abs(delayMs - wishMs);
    return [...delays]
      .sort((one, other) => farness(one) - farness(other) || one - other)
      .map((delayMs) => {
        const others = this.#known.filter((worker) => worker.delayMs !== delayMs);
        return { delayMs, others: others.map(({ workerId }) => workerId) };
      });
  }

  /** As seen last. */
  of(workerId: string): number | undefined {
    return this.#known.find((worker) => worker.workerId === workerId)?.delayMs;
  }

  async #read(): Promise<void> {
    const readMs = this.#deps.clock.now();
    try {
      this.#known = await this.#deps.read();
    } catch (error) {
      this.#deps.onError(error);
    }
    this.#readMs = readMs;
  }
}
