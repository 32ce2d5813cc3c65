import { describe, expect, it } from '@jest/globals';
import { Hpa, type HpaSpec, type PodCpu, replicasForCpu, replicasForExternal } from './hpa.ts';

/**
 * Cases are those of https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details,
 * configurable scaling behavior), but where a comment says otherwise.
 */
const pods = (count: number, utilization?: number, unready = false): PodCpu[] =>
  Array.from({ length: count }, () => ({ utilization, unready }));

describe('replicas for a metric', () => {
  it('are doubled by twice the target, and halved by half of it', () => {
    expect(replicasForCpu(3, pods(3, 0.2), 0.1)).toBe(6);
    expect(replicasForCpu(4, pods(4, 0.05), 0.1)).toBe(2);
    expect(replicasForExternal(3, 600, 100)).toBe(6);
    expect(replicasForExternal(4, 200, 100)).toBe(2);
  });

  it('are rounded up', () => {
    expect(replicasForExternal(1, 40, 8)).toBe(5);
    expect(replicasForExternal(1, 41, 8)).toBe(6);
    expect(replicasForCpu(3, pods(3, 0.9), 0.5)).toBe(6);
  });

  it('stay as they are while the ratio is within a tenth of 1', () => {
    expect(replicasForExternal(10, 1_100, 100)).toBe(10);
    expect(replicasForExternal(10, 1_101, 100)).toBe(12);
    expect(replicasForExternal(10, 900, 100)).toBe(10);
    expect(replicasForExternal(10, 899, 100)).toBe(9);
    expect(replicasForCpu(10, pods(10, 0.87), 0.8)).toBe(10);
  });

  it('count pods that are not ready as idle on the way up, which dampens it', () => {
    expect(replicasForCpu(4, pods(4, 1.6), 0.8)).toBe(8);
    expect(replicasForCpu(8, [...pods(4, 1.6), ...pods(4, undefined, true)], 0.8)).toBe(8);
    expect(replicasForCpu(6, [...pods(4, 1.6), ...pods(2, undefined, true)], 0.8)).toBe(8);
  });

  it('leave pods that are not ready out on the way down', () => {
    expect(replicasForCpu(6, [...pods(4, 0.4), ...pods(2, 0.9, true)], 0.8)).toBe(2);
  });

  it('count pods without a sample as fully used on the way down, and as idle on the way up', () => {
    expect(replicasForCpu(6, [...pods(4, 0.2), ...pods(2)], 0.8)).toBe(4);
    expect(replicasForCpu(6, [...pods(4, 1.6), ...pods(2)], 0.8)).toBe(8);
  });

  it('stay as they are where such pods would turn the direction, or nothing is known', () => {
    expect(replicasForCpu(4, [...pods(2, 0.7), ...pods(2)], 0.8)).toBe(4);
    expect(replicasForCpu(8, [...pods(4, 1), ...pods(4, undefined, true)], 0.8)).toBe(8);
    expect(replicasForCpu(4, pods(4), 0.8)).toBe(4);
  });
});

const NO_LIMIT = { type: 'Percent', value: 1_000, periodSeconds: 15 } as const;
const specOf = (
  over: { up?: Partial<HpaSpec['scaleUp']>; down?: Partial<HpaSpec['scaleDown']> } = {},
): HpaSpec => ({
  minReplicas: 1,
  maxReplicas: 1_000,
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [NO_LIMIT],
    ...over.up,
  },
  scaleDown: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
    ...over.down,
  },
});

/** Replicas after each sync, which are a period apart. */
function replicas(
  spec: HpaSpec,
  from: number,
  desired: readonly (number | undefined)[],
  everyS = 60,
) {
  const hpa = new Hpa(spec);
  let current = from;
  return desired.map((wish, index) => {
    current = hpa.sync(index * everyS, current, wish);
    return current;
  });
}
const always = (wish: number, times: number): number[] => Array.from({ length: times }, () => wish);

describe('Hpa', () => {
  const EIGHTY = [
    { type: 'Pods', value: 4, periodSeconds: 60 },
    { type: 'Percent', value: 10, periodSeconds: 60 },
  ] as const;

  it('removes a tenth in a minute while that is more than four pods, then four', () => {
    const down = { policies: EIGHTY };
    expect(replicas(specOf({ down }), 80, always(10, 4))).toEqual([72, 64, 57, 51]);
    expect(replicas(specOf({ down }), 38, always(10, 3))).toEqual([34, 30, 26]);
  });

  it('takes the policy that changes least for Min, and changes nothing when it is Disabled', () => {
    const least = { policies: EIGHTY, selectPolicy: 'Min' } as const;
    expect(replicas(specOf({ down: least }), 80, always(10, 2))).toEqual([76, 72]);
    expect(replicas(specOf({ down: { selectPolicy: 'Disabled' } }), 80, [10])).toEqual([80]);
  });

  it('counts what a policy has let through against its whole period, not against each sync', () => {
    const policies = [{ type: 'Pods', value: 1, periodSeconds: 120 }] as const;
    const seen = replicas(specOf({ down: { policies } }), 10, always(1, 17), 15);
    expect(seen.slice(0, 9)).toEqual([9, 9, 9, 9, 9, 9, 9, 9, 8]);
    expect(seen.at(-1)).toBe(7);
  });

  it('adds as much as the most generous policy lets it', () => {
    const policies = [
      { type: 'Percent', value: 100, periodSeconds: 60 },
      { type: 'Pods', value: 4, periodSeconds: 60 },
    ] as const;
    expect(replicas(specOf({ up: { policies } }), 1, always(100, 5))).toEqual([5, 10, 20, 40, 80]);
  });

  it('goes down to the highest wish of the window, and up to the lowest', () => {
    const down = { stabilizationWindowSeconds: 300 };
    expect(replicas(specOf({ down }), 5, [5, 2, 3, 2, 2, 2, 2, 2, 2])).toEqual([
      5, 5, 5, 5, 5, 3, 3, 2, 2,
    ]);
    const up = { stabilizationWindowSeconds: 120 };
    expect(replicas(specOf({ up }), 2, [2, 9, 7, 8, 8])).toEqual([2, 2, 7, 7, 8]);
  });

  it('keeps to its bounds', () => {
    const spec = { ...specOf(), minReplicas: 3, maxReplicas: 7 };
    expect(replicas(spec, 5, [100, 1])).toEqual([7, 3]);
    expect(replicas(spec, 1, [1])).toEqual([3]);
    expect(replicas(spec, 9, [9])).toEqual([7]);
  });

  it('does nothing without a metric', () => {
    expect(replicas(specOf(), 5, [undefined, undefined])).toEqual([5, 5]);
  });
});
