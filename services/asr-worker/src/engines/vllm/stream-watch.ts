import type { FaultCause } from '../engine.ts';
import type { DeltaTiming } from './timing.ts';

const FRAME_MS = 80;

export interface WatchSettings {
  /** From the audio that the first delta needs to that delta. */
  readonly firstDeltaMs: number;
  /** From one owed delta to the next. */
  readonly cadenceMs: number;
  /** From the final, or the last delta after it, to `done`. */
  readonly doneMs: number;
  /** An engine that stays this long behind, at less than half of real time, is given up on. */
  readonly slowMs: number;
}

export const WATCH_DEFAULTS: WatchSettings = {
  firstDeltaMs: 2_000,
  cadenceMs: 2_000,
  doneMs: 5_000,
  slowMs: 10_000,
};

/**
 * Whether vLLM still answers one utterance. It owes a delta for each 80 ms of audio, also of silence: no delta is no life.
 * Times are those of the caller's clock, in milliseconds.
 */
export class StreamWatch {
  readonly #settings: WatchSettings;
  readonly #timing: DeltaTiming;
  #expected = 0;
  #got = 0;
  #finished = false;
  /** When the present wait began. */
  #waitingSinceMs = 0;
  /** Since when there has always been something owed, and how many deltas came since. */
  #behindSinceMs = 0;
  #gotBehind = 0;

  constructor(timing: DeltaTiming, settings: WatchSettings) {
    this.#timing = timing;
    this.#settings = settings;
  }

  /** So much audio has been sent so far. */
  onSent(samples: number, nowMs: number): void {
    this.#expect(this.#timing.deltasFor(samples), nowMs);
  }

  onFinal(samples: number, nowMs: number): void {
    this.#finished = true;
    this.#waitingSinceMs = nowMs;
    this.#expect(this.#timing.deltasInAll(samples), nowMs);
  }

  onDelta(nowMs: number): void {
    this.#got += 1;
    this.#gotBehind += 1;
    this.#waitingSinceMs = nowMs;
    if (this.#got >= this.#expected) this.#startCounting(nowMs);
  }

  /** Deltas that are due and have not come. */
  get owed(): number {
    return Math.max(0, this.#expected - this.#got);
  }

  check(nowMs: number): { cause: FaultCause; message: string } | undefined {
    const { firstDeltaMs, cadenceMs, doneMs, slowMs } = this.#settings;
    const waitedMs = nowMs - this.#waitingSinceMs;
    if (this.#finished) {
      if (waitedMs < doneMs) return undefined;
      return { cause: 'done', message: `no end ${doneMs} ms after the last sign of life` };
    }
    if (this.owed === 0) return undefined;
    if (this.#got === 0 && waitedMs >= firstDeltaMs)
      return { cause: 'first_delta', message: `no delta within ${firstDeltaMs} ms` };
    if (this.#got > 0 && waitedMs >= cadenceMs)
      return { cause: 'cadence', message: `no delta for ${cadenceMs} ms, ${this.owed} owed` };
    const behindMs = nowMs - this.#behindSinceMs;
    if (behindMs < slowMs) return undefined;
    const speed = (this.#gotBehind * FRAME_MS) / behindMs;
    this.#startCounting(nowMs);
    if (speed >= 0.5) return undefined;
    return { cause: 'slow', message: `${speed.toFixed(2)} x real time for ${slowMs} ms` };
  }

  #expect(deltas: number, nowMs: number): void {
    if (this.owed === 0 && deltas > this.#got) {
      this.#waitingSinceMs = nowMs;
      this.#startCounting(nowMs);
    }
    this.#expected = deltas;
  }

  #startCounting(nowMs: number): void {
    this.#behindSinceMs = nowMs;
    this.#gotBehind = 0;
  }
}
