import type { FleetSample, FleetView } from './fleet-view.ts';

const INTERVAL_MS = 20;

export interface TimedSample extends FleetSample {
  /** Of `performance.now()`: between the question and the answer. */
  readonly atMs: number;
}

/** Looks at the fleet fifty times a second until it is stopped. */
export class FleetWatch implements AsyncDisposable {
  readonly samples: TimedSample[] = [];
  readonly #view: FleetView;
  readonly #watching: Promise<void>;
  #stopped = false;

  constructor(view: FleetView) {
    this.#view = view;
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watching;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Whether a slot was free at every look from the last one before the time span to the first one behind it. */
  hadFree(fromMs: number, toMs: number): boolean {
    const first = this.samples.findLastIndex(({ atMs }) => atMs <= fromMs);
    const last = this.samples.findIndex(({ atMs }) => atMs >= toMs);
    if (first < 0 || last < 0) return false;
    return this.samples.slice(first, last + 1).every(({ slots, leased }) => leased < slots);
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      const askedMs = performance.now();
      const sample = await this.#view.sample();
      this.samples.push({ ...sample, atMs: (askedMs + performance.now()) / 2 });
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }
}
