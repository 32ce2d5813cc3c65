import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

const US = 1_000;
/** An hour; what took longer counts as that. */
const HIGHEST_US = 3_600_000 * US;

export interface LatencySummary {
  readonly count: number;
  readonly avg: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Times in milliseconds in an HDR histogram: any number of them in a fixed space, percentiles to a thousandth. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram({
    lowest: 1,
    highest: HIGHEST_US,
    figures: 3,
  });

  record(ms: number): void {
    this.#histogram.record(Math.min(HIGHEST_US, Math.max(1, Math.round(ms * US))));
  }

  /** Counts all of the other's, too. */
  add(other: Latencies): void {
    if (other.#histogram.count > 0) this.#histogram.add(other.#histogram);
  }

  /** `undefined` when nothing was recorded. */
  percentile(percent: number): number | undefined {
    return this.#histogram.count === 0 ? undefined : this.#histogram.percentile(percent) / US;
  }

  get summary(): LatencySummary | undefined {
    const { count, mean, max } = this.#histogram;
    if (count === 0) return undefined;
    const at = (percent: number): number => this.#histogram.percentile(percent) / US;
    return {
      count,
      avg: mean / US,
      p50: at(50),
      p90: at(90),
      p95: at(95),
      p99: at(99),
      max: max / US,
    };
  }
}
