import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { CHUNK_MS } from '../audio-source.ts';
import type { Latencies } from './latencies.ts';

const RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;
/** From here on what is measured is this process, and not the fleet. */
const MAX_LAG_MS = 100;

export interface GeneratorReport {
  /** How late timers of this process were, at 50 and 99 of a hundred looks. */
  readonly eventLoopLagMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** How long after their moment frames went out, and sessions began. */
  readonly frameLateP99Ms: number | undefined;
  readonly startLateP99Ms: number | undefined;
  /** The load was put on too late to be the one that was asked for. */
  readonly saturated: boolean;
}

/** Whether this process keeps up with the load that it puts on. */
export class GeneratorWatch {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  report(frameLate: Latencies, startLate: Latencies): GeneratorReport {
    const delay = this.#delay;
    // It tells intervals, of which the resolution is wanted.
    const lag = (ns: number): number => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
    const frameLateP99Ms = frameLate.percentile(99);
    const startLateP99Ms = startLate.percentile(99);
    const eventLoopLagMs = {
      p50: lag(delay.percentile(50)),
      p99: lag(delay.percentile(99)),
      max: lag(delay.max),
    };
    return {
      eventLoopLagMs,
      frameLateP99Ms,
      startLateP99Ms,
      saturated: isSaturated({ lagMs: eventLoopLagMs.p99, frameLateP99Ms, startLateP99Ms }),
    };
  }
}

export function isSaturated(late: {
  lagMs: number;
  frameLateP99Ms: number | undefined;
  startLateP99Ms: number | undefined;
}): boolean {
  const { lagMs, frameLateP99Ms = 0, startLateP99Ms = 0 } = late;
  return lagMs > MAX_LAG_MS || frameLateP99Ms > CHUNK_MS || startLateP99Ms > MAX_LAG_MS;
}
