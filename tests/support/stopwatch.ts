const TICK_MS = 5;

/**
 * Starts to measure; what it returns stops and gives the milliseconds. Time in which this process was kept from running, by
 * a busy machine or by work of its own, is hardly counted: a tick counts for two at most. So it may be held against an upper limit
 * of what waits for timers, sockets and peers in this process, and is of no use for how fast something is computed.
 */
export function stopwatch(): () => number {
  let countedMs = 0;
  let lastMs = performance.now();
  const count = (): void => {
    const nowMs = performance.now();
    countedMs += Math.min(nowMs - lastMs, 2 * TICK_MS);
    lastMs = nowMs;
  };
  // A test that fails first never stops it.
  const timer = setInterval(count, TICK_MS).unref();
  return () => {
    count();
    clearInterval(timer);
    return countedMs;
  };
}
