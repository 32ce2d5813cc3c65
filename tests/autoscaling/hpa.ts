/**
 * The arithmetic of the HorizontalPodAutoscaler, as its controller does it (autoscaling/v2, Kubernetes 1.29 and later):
 * https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
 * Times are in seconds.
 */

export interface ScalingPolicy {
  readonly type: 'Pods' | 'Percent';
  readonly value: number;
  readonly periodSeconds: number;
}

export interface ScalingRules {
  readonly stabilizationWindowSeconds: number;
  readonly selectPolicy: 'Max' | 'Min' | 'Disabled';
  readonly policies: readonly ScalingPolicy[];
}

export interface HpaSpec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly scaleUp: ScalingRules;
  readonly scaleDown: ScalingRules;
}

/** A ratio so near to 1 changes nothing. */
export const TOLERANCE = 0.1;

/** `external` metric with `averageValue`: pods that are not ready count as pods, and none of them needs a metric. */
export function replicasForExternal(
  current: number,
  total: number,
  averageValue: number,
  tolerance = TOLERANCE,
): number {
  const ratio = total / (averageValue * current);
  return within(ratio, tolerance) ? current : Math.ceil(total / averageValue);
}

export interface PodCpu {
  /** Of what it requests; absent: there is no sample of this pod. */
  readonly utilization: number | undefined;
  /** Its samples are not trusted: pending, or not ready since it started, or only just ready. */
  readonly unready: boolean;
}

/**
 * `resource` metric with `averageUtilization` (both as shares): pods that are not ready count as idle on the way up and not at all on
 * the way down; pods without a sample as idle on the way up and as fully used on the way down. They never turn the direction.
 */
export function replicasForCpu(
  current: number,
  pods: readonly PodCpu[],
  target: number,
  tolerance = TOLERANCE,
): number {
  const unready = pods.filter((pod) => pod.unready);
  const missing = pods.filter((pod) => !pod.unready && pod.utilization === undefined);
  const counted = pods.flatMap(({ unready: no, utilization }) =>
    no || utilization === undefined ? [] : [utilization],
  );
  // Without any metric the controller does nothing.
  if (counted.length === 0) return current;
  const ratio = usage(counted, target);
  const upWithUnready = unready.length > 0 && ratio > 1;
  if (!upWithUnready && missing.length === 0)
    return within(ratio, tolerance) ? current : Math.ceil(ratio * counted.length);
  const assumed = [...counted];
  if (ratio < 1) for (const _ of missing) assumed.push(Math.max(1, target));
  if (ratio > 1) for (const _ of missing) assumed.push(0);
  if (upWithUnready) for (const _ of unready) assumed.push(0);
  const careful = usage(assumed, target);
  if (within(careful, tolerance) || (ratio < 1 && careful > 1) || (ratio > 1 && careful < 1))
    return current;
  const replicas = Math.ceil(careful * assumed.length);
  if ((careful < 1 && replicas > current) || (careful > 1 && replicas < current)) return current;
  return replicas;
}

interface Noted {
  readonly atS: number;
  readonly count: number;
}

/** One autoscaler: recommendations go in at each sync, what the scale becomes comes out. */
export class Hpa {
  readonly #spec: HpaSpec;
  readonly #recommended: Noted[] = [];
  readonly #ups: Noted[] = [];
  readonly #downs: Noted[] = [];

  constructor(spec: HpaSpec) {
    this.#spec = spec;
  }

  /** `desired`: what the metric asks for; absent: there is no metric, and nothing happens. */
  sync(atS: number, current: number, desired: number | undefined): number {
    const { minReplicas, maxReplicas } = this.#spec;
    if (desired === undefined) return current;
    if (current > maxReplicas || current < minReplicas)
      return this.#note(atS, current, Math.min(maxReplicas, Math.max(minReplicas, current)));
    const stable = this.#stabilised(atS, current, desired);
    return this.#note(atS, current, this.#withinRates(atS, current, stable));
  }

  /** Up to the lowest wish of the window for going up, down to the highest of that for going down. */
  #stabilised(atS: number, current: number, desired: number): number {
    const { scaleUp, scaleDown } = this.#spec;
    const within = (windowS: number): number[] =>
      this.#recommended.filter((one) => one.atS > atS - windowS).map(({ count }) => count);
    const up = Math.min(desired, ...within(scaleUp.stabilizationWindowSeconds));
    const down = Math.max(desired, ...within(scaleDown.stabilizationWindowSeconds));
    this.#recommended.push({ atS, count: desired });
    const longest = Math.max(
      scaleUp.stabilizationWindowSeconds,
      scaleDown.stabilizationWindowSeconds,
    );
    while ((this.#recommended[0]?.atS ?? atS) < atS - longest) this.#recommended.shift();
    return Math.min(Math.max(current, up), down);
  }

  #withinRates(atS: number, current: number, wished: number): number {
    const { minReplicas, maxReplicas, scaleUp, scaleDown } = this.#spec;
    if (wished > current)
      return Math.min(
        wished,
        Math.max(current, this.#limit(atS, current, scaleUp, 1)),
        maxReplicas,
      );
    if (wished < current)
      return Math.max(
        wished,
        Math.min(current, this.#limit(atS, current, scaleDown, -1)),
        minReplicas,
      );
    return current;
  }

  /** How far policies let the scale go now; `direction` is 1 for up. */
  #limit(atS: number, current: number, rules: ScalingRules, direction: 1 | -1): number {
    if (rules.selectPolicy === 'Disabled') return current;
    const proposed = rules.policies.map(({ type, value, periodSeconds }) => {
      const changed = (events: readonly Noted[]): number =>
        events.reduce((sum, one) => sum + (one.atS > atS - periodSeconds ? one.count : 0), 0);
      const atStart = current - changed(this.#ups) + changed(this.#downs);
      if (type === 'Pods') return atStart + direction * value;
      const share = atStart * (1 + (direction * value) / 100);
      return direction === 1 ? Math.ceil(share) : Math.trunc(share);
    });
    const most = (rules.selectPolicy === 'Max') === (direction === 1);
    return most ? Math.max(...proposed) : Math.min(...proposed);
  }

  #note(atS: number, current: number, next: number): number {
    const events = next > current ? this.#ups : this.#downs;
    if (next !== current) events.push({ atS, count: Math.abs(next - current) });
    const { scaleUp, scaleDown } = this.#spec;
    const periods = [...scaleUp.policies, ...scaleDown.policies].map((one) => one.periodSeconds);
    for (const list of [this.#ups, this.#downs])
      while ((list[0]?.atS ?? atS) < atS - Math.max(0, ...periods)) list.shift();
    return next;
  }
}

function within(ratio: number, tolerance: number): boolean {
  return ratio >= 1 - tolerance && ratio <= 1 + tolerance;
}

/** Against the target; the controller cuts utilization to whole percents. */
function usage(utilizations: readonly number[], target: number): number {
  const sum = utilizations.reduce((all, one) => all + one, 0);
  return Math.floor((100 * sum) / utilizations.length + 1e-9) / (100 * target);
}
