import { type FrameTick, realTimeFactor } from '../../capacity/engine-load.ts';
import { FrameLatency } from '../../capacity/frame-latency.ts';
import type { EngineWork } from '../engine.ts';

/** Counts the frames of all streams: how many are due, and how late each is answered. */
export class FrameMeter {
  readonly #latency = new FrameLatency();
  readonly #onLatency: (latencyMs: number) => void;
  #due = 0;
  #answered = 0;
  #latencySumMs = 0;
  #realtimeFactor = 0;
  #consecutiveErrors = 0;
  #lastError: string | undefined;

  constructor(onLatency: (latencyMs: number) => void) {
    this.#onLatency = onLatency;
  }

  /** Frames answered since the start. */
  get answered(): number {
    return this.#answered;
  }

  /** The audio that a delta needs has been sent. */
  onDue(): void {
    this.#due += 1;
  }

  /** The delta came so much later. */
  onDelta(latencyMs: number): void {
    this.#answered += 1;
    this.#latencySumMs += latencyMs;
    this.#latency.record(latencyMs);
    this.#onLatency(latencyMs);
  }

  /** A stream came to its end, or failed. */
  onStream(error: string | undefined): void {
    this.#consecutiveErrors = error === undefined ? 0 : this.#consecutiveErrors + 1;
    this.#lastError = error ?? this.#lastError;
  }

  /** What happened since the last call, `tickMs` ago. */
  take(tickMs: number): FrameTick | undefined {
    const p50Ms = this.#latency.percentile(0.5);
    const p95Ms = this.#latency.percentile(0.95);
    const tick =
      p50Ms === undefined || p95Ms === undefined
        ? undefined
        : { due: this.#due, done: this.#latency.count, p50Ms, p95Ms };
    this.#due = 0;
    this.#latency.reset();
    this.#realtimeFactor = (tick && realTimeFactor(tick, tickMs)) ?? 0;
    return tick;
  }

  work(): EngineWork {
    return {
      chunksProcessed: this.#answered,
      avgInferMs: this.#answered === 0 ? 0 : this.#latencySumMs / this.#answered,
      realtimeFactor: this.#realtimeFactor,
      consecutiveErrors: this.#consecutiveErrors,
      lastError: this.#lastError,
    };
  }
}
