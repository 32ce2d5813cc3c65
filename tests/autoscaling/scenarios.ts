import type { HpaSpec } from './hpa.ts';
import { CpuSignal, DemandSignal, type Signal } from './scalers.ts';
import { type Load, type Result, simulate } from './simulate.ts';

export interface PoolSettings {
  readonly slotsPerPod: number;
  readonly targetUtilization: number;
  readonly warmupSeconds: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** From the creation of a pod until it takes sessions, on the average. */
  readonly podReadySeconds: number;
  /** Mean length of sessions. Half of them are shorter than 0.6 times that, and one in twenty longer than 3 times. */
  readonly sessionSeconds: number;
  /** Sessions at a time of the lower level of loads; the higher is ten times as many. */
  readonly sessions: number;
}

/** A pool on L40S cards (docs/operations/sizing.md) with the chart's defaults, and enough pods for the beginning of a ramp. */
export const POOL: PoolSettings = {
  slotsPerPod: 32,
  targetUtilization: 0.9,
  warmupSeconds: 300,
  minReplicas: 6,
  maxReplicas: 64,
  podReadySeconds: 210,
  sessionSeconds: 300,
  sessions: 100,
};
const DRAIN_S = 120;
const HOLD_S = 5;
const SESSION_SIGMA = 1;

/** As the chart renders it: templates/worker/_behavior.tpl with its defaults. */
const BEHAVIOR: Pick<HpaSpec, 'scaleUp' | 'scaleDown'> = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 60 },
      { type: 'Pods', value: 4, periodSeconds: 60 },
    ],
  },
  scaleDown: {
    stabilizationWindowSeconds: 600,
    selectPolicy: 'Max',
    policies: [{ type: 'Pods', value: 1, periodSeconds: 120 }],
  },
};

const MINUTE_S = 60;
const HOUR_S = 3_600;
/** Levels, by the lower one. */
const LOW = 1;
const HIGH = 10;

/** From one level to another in a straight line, which begins and ends without warning. */
function between(fromS: number, toS: number, first: number, last: number): Load['sessions'] {
  return (atS) => first + (last - first) * Math.min(1, Math.max(0, (atS - fromS) / (toS - fromS)));
}

/** Ten times the load, or a tenth of it, in parts of the lower level. Levels are kept for as long as it takes to see what became of it. */
export const LOADS = {
  ramp: {
    name: '10x in 30 min',
    seconds: 2 * HOUR_S,
    sessions: between(15 * MINUTE_S, 45 * MINUTE_S, LOW, HIGH),
  },
  steep: {
    name: '10x in 15 min',
    seconds: 2 * HOUR_S,
    sessions: between(15 * MINUTE_S, 30 * MINUTE_S, LOW, HIGH),
  },
  day: {
    name: 'a day, 10x',
    seconds: 24 * HOUR_S,
    sessions: (atS) =>
      LOW + (HIGH - LOW) * (0.5 - 0.5 * Math.cos((2 * Math.PI * atS) / (24 * HOUR_S))),
  },
  fall: {
    name: 'a tenth in 1 h',
    seconds: 3 * HOUR_S,
    sessions: between(15 * MINUTE_S, 75 * MINUTE_S, HIGH, LOW),
  },
} as const satisfies Record<string, Load>;
export type LoadName = keyof typeof LOADS;

/** Each makes a new one: signals remember. */
export const SIGNALS = {
  demand: ({ targetUtilization, warmupSeconds: warmupS }) =>
    new DemandSignal({ targetUtilization, warmupS }),
  'demand, no forecast': ({ targetUtilization }) =>
    new DemandSignal({ targetUtilization, warmupS: 0 }),
  // The best that CPU can be: what a worker requests is just what it uses with all slots taken, and a tenth of it with none.
  'CPU 80 %, fitted': () => new CpuSignal({ idle: 0.1, full: 1, target: 0.8 }),
  // What is usual beside a card, where CPU is requested with room to spare: with all slots taken two fifths of it are used.
  'CPU 80 %, roomy': () => new CpuSignal({ idle: 0.05, full: 0.4, target: 0.8 }),
} as const satisfies Record<string, (pool: PoolSettings) => Signal>;
export type SignalName = keyof typeof SIGNALS;

export function run(
  load: LoadName,
  signal: SignalName,
  seed: number,
  pool: PoolSettings = POOL,
): Result {
  const { slotsPerPod, podReadySeconds: podReadyS, minReplicas, maxReplicas } = pool;
  const shape = LOADS[load];
  return simulate(
    {
      load: { ...shape, sessions: (atS) => pool.sessions * shape.sessions(atS) },
      fleet: { slotsPerPod, podReadyS, drainS: DRAIN_S, holdS: HOLD_S },
      hpa: { ...BEHAVIOR, minReplicas, maxReplicas },
      sessionS: pool.sessionSeconds,
      sessionSigma: SESSION_SIGMA,
      seed,
    },
    SIGNALS[signal](pool),
  );
}

/** Each number the mean over the runs; `lost` and `arrived` their sum. */
export function meanOf(results: readonly Result[]): Result {
  const sum = (of: (result: Result) => number): number =>
    results.reduce((all, result) => all + of(result), 0);
  const mean = (of: (result: Result) => number): number => sum(of) / results.length;
  return {
    arrived: sum((one) => one.arrived),
    refusedShare: mean((one) => one.refusedShare),
    waitP95S: mean((one) => one.waitP95S),
    idleShare: mean((one) => one.idleShare),
    idleMeanShare: mean((one) => one.idleMeanShare),
    workerMinutes: mean((one) => one.workerMinutes),
    peakPods: mean((one) => one.peakPods),
    endPods: mean((one) => one.endPods),
    moved: mean((one) => one.moved),
    lost: sum((one) => one.lost),
  };
}
