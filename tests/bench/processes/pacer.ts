export interface Pacer {
  /** The longest a call was late since the last `reset`. */
  readonly worstLagMs: number;
  reset(): void;
}

/** Calls `run` with 0 … slots-1 in turn, evenly over each period. Drift-free: each call has its own moment after the start. */
export function startPacer(periodMs: number, slots: number, run: (slot: number) => void): Pacer {
  const startMs = performance.now();
  const stepMs = periodMs / slots;
  let next = 0;
  let worstLagMs = 0;
  const tick = (): void => {
    const nowMs = performance.now() - startMs;
    worstLagMs = Math.max(worstLagMs, nowMs - next * stepMs);
    while (next * stepMs <= nowMs) {
      run(next % slots);
      next += 1;
    }
    setTimeout(tick, 1);
  };
  tick();
  return {
    get worstLagMs() {
      return worstLagMs;
    },
    reset: () => {
      worstLagMs = 0;
    },
  };
}
