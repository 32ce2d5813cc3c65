import type { ChaosFleet, FleetShape } from './chaos-fleet.ts';
import type { Trial } from './trial.ts';

/** `short` runs with the other tests on any machine; `long` takes the numbers that the promises name. */
export type Form = 'short' | 'long';

export interface ScenarioRun {
  readonly fleet: ChaosFleet;
  readonly trial: Trial;
  readonly form: Form;
  /** Faults, or rounds of them. */
  readonly runs: number;
  /** From 0 to 1, the same with each run of a seed. */
  readonly random: () => number;
}

export interface Scenario {
  /** A letter, as it is named on the command line. */
  readonly id: string;
  readonly title: string;
  /** What it shows, as the name of a test. */
  readonly promise: string;
  readonly shape: Readonly<Record<Form, FleetShape>>;
  readonly runs: Readonly<Record<Form, number>>;
  /** Settles when all its sessions are over; breaks what it likes and need not mend it. */
  readonly run: (run: ScenarioRun) => Promise<void>;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** One of these; the list must not be empty. */
export function pick<T>(random: () => number, from: readonly T[]): T {
  const one = from[Math.floor(random() * from.length)];
  if (one === undefined) throw new RangeError('nothing to pick from');
  return one;
}

/** Random numbers from 0 to 1 that a seed repeats (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
