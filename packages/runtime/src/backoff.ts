/** Delay before attempt `attempt` (from 0): doubles from `baseMs` up to `capMs`, then spread over its upper half so that many do not return at once. */
export function backoffMs(
  attempt: number,
  baseMs: number,
  capMs: number,
  random: () => number = Math.random,
): number {
  const fullMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return fullMs / 2 + (fullMs / 2) * random();
}
