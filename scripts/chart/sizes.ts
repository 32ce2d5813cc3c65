import {
  at,
  type Json,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
} from './kubernetes-object.ts';
import { quantity } from './quantity.ts';

/** What one pod asks of a node, and the most memory that it may take; in cores and bytes. */
export interface PodSize {
  readonly cpu: number;
  readonly memory: number;
  readonly memoryLimit: number;
  readonly cards: number;
}

/** A workload of a release: its pods, or between which numbers an autoscaler keeps them. */
export interface WorkloadSize extends PodSize {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  /** Bytes of the claims that each pod has made for it. */
  readonly claims: number;
  /** Bytes that a pod may take of the disk of its node. */
  readonly disk: number;
}

const WORKLOADS = ['Deployment', 'StatefulSet'];
const CARD = /\/gpu$|^nvidia\.com\/mig-/;

/** What a release takes, workload by workload. Pods of tests and load tests are there for minutes and not among them. */
export function workloadSizes(objects: readonly KubernetesObject[]): WorkloadSize[] {
  return objects
    .filter(({ kind }) => WORKLOADS.includes(kind))
    .map((object) => ({
      name: object.metadata.name,
      ...podsOf(object, objects),
      ...podSize(mapAt(object, 'spec', 'template', 'spec')),
      claims: sum(
        listAt(object, 'spec', 'volumeClaimTemplates').map((claim) =>
          quantity(at(claim, 'spec', 'resources', 'requests', 'storage') ?? 0),
        ),
      ),
      disk: sum(
        listAt(object, 'spec', 'template', 'spec', 'volumes')
          .map((volume) => mapAt(volume, 'emptyDir'))
          .filter(({ medium }) => medium !== 'Memory')
          .map(({ sizeLimit }) => quantity(sizeLimit ?? 0)),
      ),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function podsOf(object: KubernetesObject, objects: readonly KubernetesObject[]) {
  const scaler = objects.find(
    (one) =>
      at(one, 'spec', 'scaleTargetRef', 'name') === object.metadata.name &&
      at(one, 'spec', 'scaleTargetRef', 'kind') === object.kind,
  );
  if (!scaler) {
    const replicas = Number(at(object, 'spec', 'replicas') ?? 1);
    return { least: replicas, most: replicas };
  }
  const keda = scaler.kind === 'ScaledObject';
  const bound = (key: string): number => Number(at(scaler, 'spec', key));
  return keda
    ? { least: bound('minReplicaCount'), most: bound('maxReplicaCount') }
    : { least: bound('minReplicas'), most: bound('maxReplicas') };
}

/**
 * As the scheduler reckons: containers and sidecars together, or the one step before them that needs more, with the sidecars
 * that are up by then.
 */
export function podSize(pod: JsonObject): PodSize {
  return {
    cpu: demand(pod, 'requests', 'cpu'),
    memory: demand(pod, 'requests', 'memory'),
    memoryLimit: demand(pod, 'limits', 'memory'),
    cards: sum(cardNames(pod).map((name) => demand(pod, 'limits', name))),
  };
}

function demand(pod: JsonObject, what: 'requests' | 'limits', resource: string): number {
  const of = (container: JsonObject): number =>
    quantity(at(container, 'resources', what, resource) ?? 0);
  let sidecars = 0;
  let most = 0;
  for (const container of listAt(pod, 'initContainers')) {
    if (at(container, 'restartPolicy') === 'Always') sidecars += of(container);
    else most = Math.max(most, sidecars + of(container));
  }
  return Math.max(most, sidecars + sum(listAt(pod, 'containers').map(of)));
}

function cardNames(pod: JsonObject): string[] {
  const all = [...listAt(pod, 'initContainers'), ...listAt(pod, 'containers')];
  const limits = all.map(
    (container): Record<string, Json> => mapAt(container, 'resources', 'limits'),
  );
  return [...new Set(limits.flatMap((one) => Object.keys(one)))].filter((name) => CARD.test(name));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
