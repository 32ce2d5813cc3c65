/** Peaks are remembered for this long: the sum over sessions that roll each at its own time swings within minutes. */
const PEAK_MS = 120_000;
/** Sessions within this part of the present number count as a steady population. */
const STEADY = 0.93;

/** How much of the KV pool one session takes at the worst. An utterance's cost grows with its age, so newcomers count as grown up. */
export class KvDemand {
  readonly #settleMs: number;
  #sessions: { readonly atMs: number; readonly inUse: number }[] = [];
  #peaks: { readonly atMs: number; readonly perSession: number }[] = [];
  #nowMs = 0;
  #perSession = 0;

  /** `settleMs`: after this time a session costs what it ever will, that is the length of a segment. */
  constructor(settleMs: number) {
    this.#settleMs = settleMs;
  }

  /** `usage`: part of the pool in use, 0..1. */
  observe(tickMs: number, inUse: number, usage: number): void {
    this.#nowMs += tickMs;
    this.#sessions.push({ atMs: this.#nowMs, inUse });
    this.#sessions = this.#sessions.filter(({ atMs }) => this.#nowMs - atMs <= this.#settleMs);
    this.#peaks = this.#peaks.filter(({ atMs }) => this.#nowMs - atMs <= PEAK_MS);
    // Those who came lately hold little yet: the blocks in use are laid to those who were there all along.
    const settled = Math.max(1, Math.min(...this.#sessions.map((tick) => tick.inUse)));
    this.#perSession = inUse > 0 ? usage / settled : 0;
    if (inUse > 0 && settled >= STEADY * inUse)
      this.#peaks.push({ atMs: this.#nowMs, perSession: usage / inUse });
  }

  /** Sessions that keep the usage at or under `limit`; Infinity while nothing is known. */
  sessionsWithin(limit: number): number {
    const worst = Math.max(this.#perSession, ...this.#peaks.map(({ perSession }) => perSession));
    return worst > 0 ? limit / worst : Number.POSITIVE_INFINITY;
  }
}
