/** Steps for each doubling: a bucket is at most 9 % wide, and percentiles are interpolated within it. */
const STEPS_PER_DOUBLING = 8;
/** 1 ms to 65 s; what lies outside counts in the first or last bucket. */
const DOUBLINGS = 16;
const BUCKETS = STEPS_PER_DOUBLING * DOUBLINGS;

/**
 * Latencies of one tick: a histogram of fixed size. `record` allocates nothing and takes some 20 ns, so it may be called
 * for every frame.
 */
export class FrameLatency {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #maxMs = 0;

  /** Latencies recorded since the last reset. */
  get count(): number {
    return this.#count;
  }

  /** The longest of them; 0 when there are none. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** Whatever is no latency, such as NaN or less than nothing, is left out. */
  record(latencyMs: number): void {
    if (!(latencyMs >= 0)) return;
    const bucket = bucketOf(latencyMs);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    if (latencyMs > this.#maxMs) this.#maxMs = latencyMs;
  }

  /** The latency that `part` (0..1) of the frames did not exceed; undefined without frames. */
  percentile(part: number): number | undefined {
    if (this.#count === 0) return undefined;
    const rank = part * this.#count;
    let below = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const here = this.#counts[bucket] ?? 0;
      if (here > 0 && below + here >= rank) {
        const fromMs = lowerEdgeMs(bucket);
        const untilMs = bucket === BUCKETS - 1 ? this.#maxMs : lowerEdgeMs(bucket + 1);
        const share = Math.max(0, rank - below) / here;
        return Math.min(this.#maxMs, fromMs + share * (untilMs - fromMs));
      }
      below += here;
    }
    return this.#maxMs;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#maxMs = 0;
  }
}

function bucketOf(latencyMs: number): number {
  if (latencyMs < 1) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(latencyMs) * STEPS_PER_DOUBLING));
}

function lowerEdgeMs(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** (bucket / STEPS_PER_DOUBLING);
}
