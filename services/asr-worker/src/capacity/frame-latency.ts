/** Buckets for each doubling: each is 9 % wide, and percentiles are interpolated within it. */
const STEPS_PER_DOUBLING = 8;
/** 1 ms to 65 s; what lies outside counts in the first or last bucket. A power of two, for the search. */
const BUCKETS = 128;

/** Where each bucket begins, in milliseconds. */
const EDGES_MS = Float64Array.from({ length: BUCKETS }, (_, bucket) =>
  bucket === 0 ? 0 : 2 ** (bucket / STEPS_PER_DOUBLING),
);

/**
 * Latencies of one tick: a histogram of fixed size. `record` allocates nothing and takes some 10 ns, so it may be called
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
        const fromMs = EDGES_MS[bucket] ?? 0;
        const untilMs = EDGES_MS[bucket + 1] ?? this.#maxMs;
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

/** The last bucket that begins at or before the latency. */
function bucketOf(latencyMs: number): number {
  let bucket = 0;
  for (let step = BUCKETS >> 1; step > 0; step >>= 1)
    if ((EDGES_MS[bucket + step] ?? 0) <= latencyMs) bucket += step;
  return bucket;
}
