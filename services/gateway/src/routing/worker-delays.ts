import type { WorkerDelay } from '@voice-fleet/fleet/worker';
import type { Clock } from '@voice-fleet/runtime/clock';

export interface WorkerDelaysDeps {
  readonly read: () => Promise<readonly WorkerDelay[]>;
  readonly clock: Clock;
  /** A read failed. */
  readonly onError: (error: unknown) => void;
}

export interface NearestDelay {
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

  /** Undefined when no ready worker has a delay. Of two that are as near, the shorter. */
  async nearest(wishMs: number): Promise<NearestDelay | undefined> {
    if (this.#deps.clock.now() - this.#readMs >= FRESH_MS) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    let delayMs: number | undefined;
    for (const { delayMs: one, ready } of this.#known) {
      if (!ready || one === undefined) continue;
      const farther =
        delayMs === undefined ? 1 : Math.abs(delayMs - wishMs) - Math.abs(one - wishMs);
      if (delayMs === undefined || farther > 0 || (farther === 0 && one < delayMs)) delayMs = one;
    }
    if (delayMs === undefined) return undefined;
    const others = this.#known.filter((worker) => worker.delayMs !== delayMs);
    return { delayMs, others: others.map(({ workerId }) => workerId) };
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
