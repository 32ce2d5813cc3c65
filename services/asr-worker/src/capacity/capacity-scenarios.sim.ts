import { meanKvMib } from '../gpu/kv-cost.ts';
import { type Scenario, type SimEngine, type SimResult, simulate } from './capacity-loop.sim.ts';
import { FRAME_MS } from './engine-load.ts';

function linear(name: string, baseMs: number, capacity: number): NamedEngine {
  return { name, engine: { baseMs, perSessionMs: (FRAME_MS - baseMs) / capacity } };
}

export interface NamedEngine {
  readonly name: string;
  readonly engine: SimEngine;
}

/** Fixed and variable costs from all of the one to much of the other, cliffs, and small pools. */
export const ENGINES: readonly NamedEngine[] = [
  linear('linear 10 ms, 20', 10, 20),
  linear('linear 40 ms, 20', 40, 20),
  linear('linear 2 ms, 50', 2, 50),
  linear('linear 10 ms, 50', 10, 50),
  linear('linear 20 ms, 50', 20, 50),
  linear('linear 40 ms, 50', 40, 50),
  linear('linear 10 ms, 100', 10, 100),
  linear('linear 40 ms, 100', 40, 100),
  linear('linear 2 ms, 200', 2, 200),
  linear('linear 10 ms, 200', 10, 200),
  linear('linear 20 ms, 200', 20, 200),
  { name: 'cliff 32 at once, 71', engine: { baseMs: 20, perSessionMs: 0.5, maxSequences: 32 } },
  { name: 'cliff 16 at once, 51', engine: { baseMs: 10, perSessionMs: 0.94, maxSequences: 16 } },
  { name: 'cliff 32 at once, 156', engine: { baseMs: 10, perSessionMs: 0.2, maxSequences: 32 } },
  {
    name: 'unfair cliff, 71',
    engine: { baseMs: 20, perSessionMs: 0.5, maxSequences: 32, fair: false },
  },
  { name: 'KV pool of 12 GB', engine: kvLimited(40) },
  { name: 'KV pool of 30 GB', engine: kvLimited(100) },
];

/** Plenty of compute, and a pool that `sessions` fill to nine tenths on the mean. */
function kvLimited(sessions: number): SimEngine {
  const rollS = 30;
  return {
    baseMs: 10,
    perSessionMs: 0.1,
    kv: { poolMib: (meanKvMib(rollS) * sessions) / 0.9, rollS },
  };
}

/**
 * The most sessions an engine carries for good: for compute from its formula, for KV the most that stay
 * for twice 10 simulated minutes without one that loses its blocks.
 */
export function hiddenCapacity(engine: SimEngine, sessionS: number): number {
  const linearLimit = (FRAME_MS - engine.baseMs) / engine.perSessionMs;
  const width = engine.maxSequences ?? Number.POSITIVE_INFINITY;
  const cliff =
    width === Number.POSITIVE_INFINITY
      ? linearLimit
      : (width * FRAME_MS) / (engine.baseMs + engine.perSessionMs * width);
  // 80 - 10 over 0.7 is 99.99999999999999.
  const compute = Math.floor(Math.min(linearLimit, cliff) + 1e-6);
  if (!engine.kv) return compute;
  const carries = (slots: number): boolean =>
    [11, 12].every((seed) => {
      const scenario = scenarioFor(engine, slots, { sessionS, minutes: 10, seed });
      const fixed = { slots, observe: () => {} };
      return simulate(fixed, { ...scenario, arrivalsPerS: () => 5 }).preemptions === 0;
    });
  let carried = 0;
  let tooMany = compute + 1;
  while (tooMany - carried > 1) {
    const middle = (carried + tooMany) >> 1;
    if (carries(middle)) carried = middle;
    else tooMany = middle;
  }
  return carried;
}

/** More sessions ask than the engine can carry, from a fifth of that up to all of it within the first minute. */
export function scenarioFor(
  engine: SimEngine,
  capacity: number,
  { sessionS, minutes, seed }: { sessionS: number; minutes: number; seed: number },
): Scenario {
  const ratePerS =
    sessionS === Number.POSITIVE_INFINITY
      ? capacity / 40
      : (1.5 * capacity) / Math.min(sessionS, 60);
  return {
    engine,
    minutes,
    seed,
    sessionS,
    stepNoise: 0.2,
    arrivalsPerS: (atS) => Math.min(1, atS / 60 + 0.2) * ratePerS,
  };
}

export interface Summary {
  /** When the slots first were 90 % of the capacity; Infinity: never. */
  readonly settledS: number;
  /** Part of the ticks from then on with slots from 90 % (rounded down) to all of the capacity. */
  readonly inBand: number;
  readonly maxShare: number;
  readonly endShare: number;
  readonly lagP99Ms: number;
}

export function summarise({ ticks, lagP99Ms }: SimResult, capacity: number): Summary {
  const enough = Math.floor(0.9 * capacity);
  const first = ticks.findIndex(({ slots }) => slots >= enough);
  const after = first < 0 ? [] : ticks.slice(first);
  const good = after.filter(({ slots }) => slots >= enough && slots <= capacity);
  return {
    settledS: first < 0 ? Number.POSITIVE_INFINITY : Math.round(ticks[first]?.atS ?? 0),
    inBand: after.length === 0 ? 0 : good.length / after.length,
    maxShare: Math.max(...ticks.map(({ slots }) => slots)) / capacity,
    endShare: (ticks.at(-1)?.slots ?? 0) / capacity,
    lagP99Ms,
  };
}
