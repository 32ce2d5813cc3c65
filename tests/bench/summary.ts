import type { Measurement } from './measure.ts';
import type { TargetName } from './options.ts';

/** One round: every target once, one after the other, under the same conditions as far as a shared machine has them. */
export interface Round {
  readonly direct: Measurement;
  readonly targets: ReadonlyMap<TargetName, Measurement>;
}

export interface TargetSummary {
  readonly name: TargetName;
  /** CPU seconds in 1000 session seconds. */
  readonly cpuPer1000: number;
  readonly userPer1000: number;
  /** CPU in microseconds for each audio frame, all other work of the session included. */
  readonly cpuUsPerFrame: number;
  readonly kbPerSession: number;
  /** What the target adds to the direct way of the same round. */
  readonly addedP50Ms: number;
  readonly addedP99Ms: number;
  /** CPU against these targets of the same round; null where one was not measured. */
  readonly toNginx: number | null;
  readonly toHaproxy: number | null;
  readonly toWs: number | null;
  /** Of frames and messages, the least part that arrived in any round. */
  readonly delivered: number;
  readonly worstLoadLagMs: number;
}

const FRAMES_PER_1000_S = 12_500;

/** Medians over the rounds. Ratios and added latency are formed within each round, so that drift between rounds cancels out. */
export function summarise(name: TargetName, rounds: readonly Round[]): TargetSummary {
  const over = (value: (own: Measurement, round: Round) => number): number =>
    median(
      rounds.flatMap((round) => {
        const own = round.targets.get(name);
        return own ? [value(own, round)] : [];
      }),
    );
  const ratioTo = (other: TargetName): number | null => {
    if (!rounds.every((round) => round.targets.has(other))) return null;
    return over((own, round) => {
      const reference = round.targets.get(other);
      return reference ? cpuOf(own) / cpuOf(reference) : Number.NaN;
    });
  };
  const deliveries = rounds.flatMap((round) => round.targets.get(name)?.delivery ?? []);
  const cpuPer1000 = over(cpuOf);
  return {
    name,
    cpuPer1000,
    userPer1000: over((own) => own.userPer1000),
    cpuUsPerFrame: (cpuPer1000 * 1e6) / FRAMES_PER_1000_S,
    kbPerSession: over((own) => own.kbPerSession),
    addedP50Ms: over((own, { direct }) => own.oneWayP50Ms - direct.oneWayP50Ms),
    addedP99Ms: over((own, { direct }) => own.oneWayP99Ms - direct.oneWayP99Ms),
    toNginx: ratioTo('nginx'),
    toHaproxy: ratioTo('haproxy'),
    toWs: ratioTo('ws'),
    delivered: Math.min(...deliveries.map(({ frames, messages }) => Math.min(frames, messages))),
    worstLoadLagMs: Math.max(...deliveries.map(({ loadLagMs }) => loadLagMs)),
  };
}

export function cpuOf({ userPer1000, systemPer1000 }: Measurement): number {
  return userPer1000 + systemPer1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
