import { Fleet, type FleetSettings, newTally } from './fleet.ts';
import { Hpa, type HpaSpec } from './hpa.ts';
import { Chance } from './random.ts';
import type { Signal } from './scalers.ts';

export interface Load {
  readonly name: string;
  readonly seconds: number;
  /** Sessions that run at a time, on the average, if none is refused. */
  readonly sessions: (atS: number) => number;
}

export interface Scenario {
  readonly load: Load;
  readonly fleet: FleetSettings;
  readonly hpa: HpaSpec;
  /** Mean length of sessions, and the deviation of its logarithm. */
  readonly sessionS: number;
  readonly sessionSigma: number;
  readonly seed: number;
}

export interface Result {
  readonly arrived: number;
  /** Of all that arrived. */
  readonly refusedShare: number;
  readonly waitP95S: number;
  /** Slot-seconds of ready workers without a session, of all slot-seconds of ready workers. */
  readonly idleShare: number;
  /** Mean over time of the share of ready slots that had no session. */
  readonly idleMeanShare: number;
  readonly workerMinutes: number;
  readonly peakPods: number;
  readonly endPods: number;
  readonly moved: number;
  readonly lost: number;
}

/** Until all is as if the load of the beginning had always been there. */
const SETTLE_S = 2_400;
/** `--horizontal-pod-autoscaler-sync-period`. */
const SYNC_S = 15;

/** One second after the other: clients come, sessions end, signals are read, and each 15 s the autoscaler decides. */
export function simulate(scenario: Scenario, signal: Signal): Result {
  const { load, hpa: spec, sessionS, sessionSigma } = scenario;
  const chance = new Chance(scenario.seed);
  const atStart = Math.ceil(load.sessions(0) / (0.7 * scenario.fleet.slotsPerPod));
  const fleet = new Fleet(scenario.fleet, chance, Math.max(spec.minReplicas, atStart));
  const hpa = new Hpa(spec);
  let readySlots = 0;
  let usedSlots = 0;
  let idleShares = 0;
  let podSeconds = 0;
  let peakPods = 0;
  for (let atS = -SETTLE_S; atS < load.seconds; atS += 1) {
    if (atS === 0) fleet.tally = newTally();
    const expected = load.sessions(Math.max(0, atS)) / sessionS;
    const arrivals = Array.from({ length: chance.poisson(expected) }, () =>
      chance.lognormal(sessionS, sessionSigma),
    );
    const nowS = atS + SETTLE_S;
    fleet.step(nowS, arrivals);
    signal.observe(nowS, fleet);
    if (nowS % SYNC_S === 0)
      fleet.scale(hpa.sync(nowS, fleet.replicas, signal.desired(nowS, fleet)));
    if (atS < 0) continue;
    const ready = fleet.ready(nowS);
    const slots = ready.length * fleet.slots;
    const used = ready.reduce((sum, { sessions }) => sum + sessions.length, 0);
    readySlots += slots;
    usedSlots += used;
    idleShares += slots === 0 ? 0 : 1 - used / slots;
    podSeconds += fleet.pods.length;
    peakPods = Math.max(peakPods, fleet.pods.length);
  }
  const { arrived, refused, moved, lost, waits } = fleet.tally;
  waits.sort((one, other) => one - other);
  return {
    arrived,
    refusedShare: refused / arrived,
    waitP95S: waits[Math.floor(0.95 * waits.length)] ?? 0,
    idleShare: 1 - usedSlots / readySlots,
    idleMeanShare: idleShares / load.seconds,
    workerMinutes: podSeconds / 60,
    peakPods,
    endPods: fleet.replicas,
    moved,
    lost,
  };
}
