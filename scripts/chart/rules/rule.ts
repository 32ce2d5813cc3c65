import { at, type JsonObject, type KubernetesObject, listAt, mapAt } from '../kubernetes-object.ts';

/** Where something is wrong, and what. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

/** What holds for every object of a release. */
export interface Rule {
  /** A short name, unique. */
  readonly id: string;
  /** What it asks for, and why. */
  readonly meaning: string;
  /** What to do about a finding. */
  readonly fix: string;
  /** The problems of one object; `all` are those of its release, itself among them. */
  check(object: KubernetesObject, all: readonly KubernetesObject[]): Iterable<Problem>;
}

/** The pods that an object makes, or is. */
export interface PodPlace {
  /** Path of its spec. */
  readonly path: string;
  readonly spec: JsonObject;
  readonly labels: JsonObject;
  readonly annotations: JsonObject;
}

const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
  Pod: [],
};

/** The pod of a workload; none of other objects. */
export function podOf(object: KubernetesObject): PodPlace | undefined {
  const way = TEMPLATES[object.kind];
  if (!way) return undefined;
  const template = mapAt(object, ...way);
  return {
    path: [...way, 'spec'].join('.'),
    spec: mapAt(template, 'spec'),
    labels: mapAt(template, 'metadata', 'labels'),
    annotations: mapAt(template, 'metadata', 'annotations'),
  };
}

export interface ContainerPlace {
  readonly name: string;
  /** Path of the container, by its name. */
  readonly path: string;
  readonly container: JsonObject;
  /** Whether it runs as long as the pod: no init container but a sidecar. */
  readonly lasting: boolean;
}

/** All containers of an object, also those that come before the others. */
export function containersOf(object: KubernetesObject): ContainerPlace[] {
  const pod = podOf(object);
  if (!pod) return [];
  return ['initContainers', 'containers'].flatMap((key) =>
    listAt(pod.spec, key).map((container) => ({
      name: String(container['name']),
      path: `${pod.path}.${key}[${String(container['name'])}]`,
      container,
      lasting: key === 'containers' || container['restartPolicy'] === 'Always',
    })),
  );
}

/** Pods that do not end by themselves. */
export function isService({ kind }: KubernetesObject): boolean {
  return ['Deployment', 'StatefulSet', 'DaemonSet'].includes(kind);
}

/** Whether a selector takes these labels. An empty one takes all. */
export function selects(selector: JsonObject, labels: JsonObject): boolean {
  const plain = Object.entries(mapAt(selector, 'matchLabels'));
  if (!plain.every(([key, value]) => labels[key] === value)) return false;
  return listAt(selector, 'matchExpressions').every((one) => {
    const value = labels[String(one['key'])];
    const values = at(one, 'values');
    const listed = Array.isArray(values) && value !== undefined && values.includes(value);
    switch (one['operator']) {
      case 'In':
        return listed;
      case 'NotIn':
        return !listed;
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return false;
    }
  });
}

/** Whether a selector asks for nothing. */
export function isEmptySelector(selector: JsonObject): boolean {
  const labels = Object.keys(mapAt(selector, 'matchLabels'));
  return labels.length === 0 && listAt(selector, 'matchExpressions').length === 0;
}

/** Workloads of the release whose pods a selector takes. */
export function selected(
  selector: JsonObject,
  all: readonly KubernetesObject[],
): KubernetesObject[] {
  return all.filter((object) => {
    const pod = podOf(object);
    return pod !== undefined && selects(selector, pod.labels);
  });
}

/** A problem at each of these paths. */
export function* problem(wrong: boolean, path: string, message: string): Iterable<Problem> {
  if (wrong) yield { path, message };
}
