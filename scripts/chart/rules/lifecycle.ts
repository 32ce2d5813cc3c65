import {
  at,
  isObject,
  type Json,
  type KubernetesObject,
  listAt,
  mapAt,
} from '../kubernetes-object.ts';
import { isService, type Problem, podOf, type Rule, selected, selects } from './rule.ts';

const SCALED = ['HorizontalPodAutoscaler', 'ScaledObject'];

function autoscalersOf(object: KubernetesObject, all: readonly KubernetesObject[]) {
  return all.filter(({ kind, ...rest }) => {
    const { kind: of, name } = mapAt(rest, 'spec', 'scaleTargetRef');
    return (
      SCALED.includes(kind) && (of ?? 'Deployment') === object.kind && name === object.metadata.name
    );
  });
}

/** Fewest pods that a workload has. */
function fewest(object: KubernetesObject, all: readonly KubernetesObject[]): number {
  const [scaler] = autoscalersOf(object, all);
  const least = at(scaler, 'spec', 'minReplicas') ?? at(scaler, 'spec', 'minReplicaCount');
  return Number((scaler ? least : at(object, 'spec', 'replicas')) ?? 1);
}

/** A number of pods, or the percentage of them. */
function pods(value: Json | undefined, of: number): number {
  if (typeof value === 'string' && value.endsWith('%'))
    return (Number.parseInt(value, 10) / 100) * of;
  return Number(value);
}

/** How pods come, go and are kept. */
export const LIFECYCLE: readonly Rule[] = [
  {
    id: 'autoscaler-target',
    meaning: 'An autoscaler scales a workload of the release, and is the only one that does.',
    fix: 'Name the workload in scaleTargetRef.',
    *check(object, all): Iterable<Problem> {
      if (!SCALED.includes(object.kind)) return;
      const { kind = 'Deployment', name } = mapAt(object, 'spec', 'scaleTargetRef');
      const target = all.find((one) => one.kind === kind && one.metadata.name === name);
      if (!target) {
        yield {
          path: 'spec.scaleTargetRef',
          message: `there is no ${String(kind)} ${String(name)}`,
        };
      } else if (autoscalersOf(target, all).length > 1) {
        yield { path: 'spec.scaleTargetRef', message: `${String(name)} has several autoscalers` };
      }
    },
  },
  {
    id: 'autoscaler-bounds',
    meaning:
      'An autoscaler has a lower and an upper bound, in this order, and something it scales by.',
    fix: 'Set both bounds, and a metric or trigger.',
    *check(object): Iterable<Problem> {
      if (!SCALED.includes(object.kind)) return;
      const keda = object.kind === 'ScaledObject';
      const least = at(object, 'spec', keda ? 'minReplicaCount' : 'minReplicas');
      const most = at(object, 'spec', keda ? 'maxReplicaCount' : 'maxReplicas');
      if (typeof least !== 'number' || typeof most !== 'number' || least > most) {
        yield { path: 'spec', message: `the bounds are ${String(least)} and ${String(most)}` };
      }
      const key = keda ? 'triggers' : 'metrics';
      if (listAt(object, 'spec', key).length === 0)
        yield { path: `spec.${key}`, message: 'is empty' };
    },
  },
  {
    id: 'autoscaler-data',
    meaning:
      'Scaling by Prometheus takes lost data for lost data: not for 0, which would end every idle pod, and keeps the pods meanwhile.',
    fix: 'Set ignoreNullValues to "false" and a fallback.',
    *check(object): Iterable<Problem> {
      if (object.kind !== 'ScaledObject') return;
      for (const [index, trigger] of listAt(object, 'spec', 'triggers').entries()) {
        if (trigger['type'] !== 'prometheus') continue;
        const path = `spec.triggers[${index}]`;
        if (at(trigger, 'metadata', 'ignoreNullValues') !== 'false') {
          yield { path: `${path}.metadata.ignoreNullValues`, message: 'is not "false"' };
        }
        if (trigger['metricType'] !== 'AverageValue') {
          yield { path: `${path}.metricType`, message: 'is not AverageValue, so it is no demand' };
        }
        if (!isObject(at(object, 'spec', 'fallback'))) {
          yield { path: 'spec.fallback', message: 'is missing' };
        }
      }
    },
  },
  {
    id: 'autoscaler-replicas',
    meaning: 'Where an autoscaler owns the number of pods, a release does not set it back.',
    fix: 'Leave replicas out, or set what there is.',
    *check(object, all): Iterable<Problem> {
      const replicas = at(object, 'spec', 'replicas');
      if (podOf(object) && replicas !== undefined && autoscalersOf(object, all).length > 0) {
        yield { path: 'spec.replicas', message: `is ${String(replicas)} beside an autoscaler` };
      }
    },
  },
  {
    id: 'budget',
    meaning:
      'A PodDisruptionBudget takes pods of one workload, has one bound, and lets nodes be drained.',
    fix: 'Set one of maxUnavailable (not 0) and minAvailable (less than the pods).',
    *check(object, all): Iterable<Problem> {
      if (object.kind !== 'PodDisruptionBudget') return;
      const { selector, minAvailable, maxUnavailable } = mapAt(object, 'spec');
      const found = selected(isObject(selector) ? selector : {}, all);
      const [workload] = found;
      if (found.length !== 1 || !workload) {
        yield { path: 'spec.selector', message: `takes pods of ${found.length} workloads` };
        return;
      }
      if ((minAvailable === undefined) === (maxUnavailable === undefined)) {
        yield { path: 'spec', message: 'has not one of minAvailable and maxUnavailable' };
      }
      const count = fewest(workload, all);
      if (maxUnavailable !== undefined && pods(maxUnavailable, Math.max(count, 1)) === 0) {
        yield { path: 'spec.maxUnavailable', message: 'lets no pod go' };
      }
      if (minAvailable !== undefined && count > 0 && pods(minAvailable, count) >= count) {
        yield { path: 'spec.minAvailable', message: `lets none of ${count} pods go` };
      }
      if (at(object, 'spec', 'unhealthyPodEvictionPolicy') !== 'AlwaysAllow') {
        yield { path: 'spec.unhealthyPodEvictionPolicy', message: 'keeps pods that are not ready' };
      }
    },
  },
  {
    id: 'spread',
    meaning: 'Pods of a workload with several of them are not all on one host, or in one zone.',
    fix: 'Set topologySpreadConstraints with the labels of the pods.',
    *check(object, all): Iterable<Problem> {
      const pod = podOf(object);
      if (!pod || !isService(object) || fewest(object, all) < 2) return;
      const constraints = listAt(pod.spec, 'topologySpreadConstraints');
      const apart = at(pod.spec, 'affinity', 'podAntiAffinity');
      if (constraints.length === 0 && !isObject(apart)) {
        yield { path: `${pod.path}.topologySpreadConstraints`, message: 'is missing' };
      }
      for (const [index, one] of constraints.entries()) {
        if (selects(mapAt(one, 'labelSelector'), pod.labels)) continue;
        const path = `${pod.path}.topologySpreadConstraints[${index}].labelSelector`;
        yield { path, message: 'does not take the pods themselves' };
      }
    },
  },
  {
    id: 'rollout',
    meaning: 'A rollout ends: some pod may come or go first.',
    fix: 'Let maxSurge and maxUnavailable not both be 0.',
    *check(object): Iterable<Problem> {
      if (object.kind !== 'Deployment') return;
      const { maxSurge = 1, maxUnavailable = 1 } = mapAt(
        object,
        'spec',
        'strategy',
        'rollingUpdate',
      );
      if (pods(maxSurge, 100) === 0 && pods(maxUnavailable, 100) === 0) {
        yield { path: 'spec.strategy', message: 'lets no pod come and none go' };
      }
    },
  },
  {
    id: 'job-end',
    meaning: 'A Job ends by a time, is not tried for ever, and is taken away afterwards.',
    fix: 'Set activeDeadlineSeconds, backoffLimit and ttlSecondsAfterFinished.',
    *check(object): Iterable<Problem> {
      if (object.kind !== 'Job' && object.kind !== 'CronJob') return;
      const way = object.kind === 'Job' ? ['spec'] : ['spec', 'jobTemplate', 'spec'];
      const spec = mapAt(object, ...way);
      for (const key of ['activeDeadlineSeconds', 'backoffLimit', 'ttlSecondsAfterFinished']) {
        if (spec[key] === undefined) yield { path: [...way, key].join('.'), message: 'is not set' };
      }
    },
  },
  {
    id: 'test-end',
    meaning: 'A pod of helm test ends by a time and is taken away before the next one.',
    fix: 'Set activeDeadlineSeconds, restartPolicy Never and helm.sh/hook-delete-policy.',
    *check(object): Iterable<Problem> {
      const annotations = mapAt(object, 'metadata', 'annotations');
      const hook = annotations['helm.sh/hook'];
      if (typeof hook !== 'string' || !hook.split(',').includes('test')) return;
      if (
        !String(annotations['helm.sh/hook-delete-policy'] ?? '').includes('before-hook-creation')
      ) {
        yield { path: 'metadata.annotations', message: 'has no hook-delete-policy' };
      }
      if (object.kind !== 'Pod') return;
      if (at(object, 'spec', 'activeDeadlineSeconds') === undefined) {
        yield { path: 'spec.activeDeadlineSeconds', message: 'is not set' };
      }
      if (at(object, 'spec', 'restartPolicy') !== 'Never') {
        yield { path: 'spec.restartPolicy', message: 'is not Never' };
      }
    },
  },
];
