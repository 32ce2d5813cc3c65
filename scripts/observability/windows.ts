/** Fewer events than these in a window tell of too little to call anybody. */
export const FEWEST_EVENTS = 20;

const SECONDS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** Seconds of `5m`, `1h`, `3d`. */
export function secondsOf(window: string): number {
  return Number.parseInt(window, 10) * (SECONDS[window.slice(-1)] ?? Number.NaN);
}
