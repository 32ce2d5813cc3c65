/** A stretch of a load test. */
export interface Phase {
  readonly name: string;
  readonly seconds: number;
  /** How many sessions begin in a second. */
  readonly sessionsPerSecond: number;
  /** Changes evenly to this until the end of the phase; absent: stays as it is. */
  readonly rampTo?: number | undefined;
}

export interface Arrival {
  readonly index: number;
  /** After the start of the test. */
  readonly atMs: number;
  /** Index of the phase in which it comes. */
  readonly phase: number;
}

/** Sums of fractions are off by this at the most. */
const EPSILON = 1e-9;

/** How many sessions a phase begins, fractions included: they count on in the next. */
function sessionsOf({ seconds, sessionsPerSecond, rampTo = sessionsPerSecond }: Phase): number {
  return (seconds * (sessionsPerSecond + rampTo)) / 2;
}

export function secondsOf(phases: readonly Phase[]): number {
  return phases.reduce((sum, { seconds }) => sum + seconds, 0);
}

/** How many arrivals there will be. */
export function countArrivals(phases: readonly Phase[]): number {
  return Math.ceil(phases.reduce((sum, phase) => sum + sessionsOf(phase), 0) - EPSILON);
}

/** When sessions begin, in order, the first at once: whatever becomes of those before. */
export function* arrivals(phases: readonly Phase[]): Generator<Arrival> {
  let index = 0;
  let begun = 0;
  let fromS = 0;
  for (const [number, phase] of phases.entries()) {
    const until = begun + sessionsOf(phase);
    for (; index < until - EPSILON; index++) {
      const atS = fromS + secondsUntil(index - begun, phase);
      yield { index, atMs: atS * 1000, phase: number };
    }
    begun = until;
    fromS += phase.seconds;
  }
}

/** When so many sessions of the phase have begun. With a rate from a to b over T that is the root of a·t + (b - a)/(2T)·t². */
function secondsUntil(
  count: number,
  { seconds, sessionsPerSecond: a, rampTo: b = a }: Phase,
): number {
  if (count <= 0) return 0;
  const growth = (b - a) / seconds;
  const root = Math.sqrt(Math.max(0, a * a + 2 * growth * count));
  return Math.min(seconds, (2 * count) / (a + root));
}
