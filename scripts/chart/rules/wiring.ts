import {
  at,
  isObject,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
} from '../kubernetes-object.ts';
import { portsOf } from './containers.ts';
import {
  containersOf,
  isEmptySelector,
  type Problem,
  podOf,
  type Rule,
  selected,
  selects,
} from './rule.ts';

/** Whose pods speak to the API server, by a role that is bound to their account. */
function hasRole(account: string, all: readonly KubernetesObject[]): boolean {
  return all.some(
    (one) =>
      ['RoleBinding', 'ClusterRoleBinding'].includes(one.kind) &&
      listAt(one, 'subjects').some((subject) => subject['name'] === account),
  );
}

/** Backends that routes of any kind name: a Service and its port. */
function* backendsOf(object: KubernetesObject): Iterable<readonly [name: string, port: unknown]> {
  for (const rule of listAt(object, 'spec', 'rules')) {
    for (const path of listAt(rule, 'http', 'paths')) {
      const { name, port } = mapAt(path, 'backend', 'service');
      yield [String(name), at(port, 'number') ?? at(port, 'name')];
    }
    if (object.kind !== 'HTTPRoute') continue;
    for (const { name, port } of listAt(rule, 'backendRefs')) yield [String(name), port];
  }
}

/** How objects of a release refer to each other. */
export const WIRING: readonly Rule[] = [
  {
    id: 'selector-matches',
    meaning: 'A workload selects the pods that it makes.',
    fix: 'Give the template the labels of the selector.',
    *check(object): Iterable<Problem> {
      const pod = podOf(object);
      const selector = mapAt(object, 'spec', 'selector');
      if (!pod || Object.keys(selector).length === 0) return;
      if (!selects(selector, pod.labels)) {
        yield { path: 'spec.selector', message: 'does not take the labels of spec.template' };
      }
    },
  },
  {
    id: 'selector-apart',
    meaning: 'No workload selects pods of another one: both would count them.',
    fix: 'Select by component and pool too.',
    *check(object, all): Iterable<Problem> {
      const selector = mapAt(object, 'spec', 'selector');
      if (!podOf(object) || Object.keys(selector).length === 0) return;
      for (const other of selected(selector, all)) {
        if (other === object) continue;
        yield {
          path: 'spec.selector',
          message: `takes pods of ${other.kind}/${other.metadata.name}`,
        };
      }
    },
  },
  {
    id: 'service-pods',
    meaning: 'A Service reaches pods of exactly one workload.',
    fix: 'Make its selector that of the workload.',
    *check(object, all): Iterable<Problem> {
      if (object.kind !== 'Service' || at(object, 'spec', 'type') === 'ExternalName') return;
      const found = selected({ matchLabels: mapAt(object, 'spec', 'selector') }, all);
      // A headless Service that many pools share names their pods only.
      const headless = at(object, 'spec', 'clusterIP') === 'None';
      if (found.length === 0 || (found.length > 1 && !headless)) {
        yield { path: 'spec.selector', message: `takes pods of ${found.length} workloads` };
      }
    },
  },
  {
    id: 'service-port',
    meaning: 'A Service leads to a port that the pods listen on.',
    fix: 'Name a port of the container as targetPort.',
    *check(object, all): Iterable<Problem> {
      if (object.kind !== 'Service') return;
      for (const workload of selected({ matchLabels: mapAt(object, 'spec', 'selector') }, all)) {
        const ports = containersOf(workload).flatMap(({ container }) => portsOf(container));
        for (const { port, targetPort = port } of listAt(object, 'spec', 'ports')) {
          if (ports.includes(targetPort as string | number)) continue;
          yield { path: 'spec.ports', message: `${String(targetPort)} is no port of the pods` };
        }
      }
    },
  },
  {
    id: 'stateful-service',
    meaning: 'The Service that names the pods of a StatefulSet is there.',
    fix: 'Render a headless Service of the name in serviceName.',
    *check(object, all): Iterable<Problem> {
      if (object.kind !== 'StatefulSet') return;
      const name = at(object, 'spec', 'serviceName');
      const found = all.find((one) => one.kind === 'Service' && one.metadata.name === name);
      if (!found)
        yield { path: 'spec.serviceName', message: `there is no Service ${String(name)}` };
    },
  },
  {
    id: 'route-backend',
    meaning: 'An Ingress and an HTTPRoute lead to a Service of the release and a port that it has.',
    fix: 'Name the Service and one of its ports.',
    *check(object, all): Iterable<Problem> {
      if (!['Ingress', 'HTTPRoute'].includes(object.kind)) return;
      for (const [name, port] of backendsOf(object)) {
        const service = all.find((one) => one.kind === 'Service' && one.metadata.name === name);
        const ports = service ? listAt(service, 'spec', 'ports') : [];
        if (!ports.some((one) => one['port'] === port || one['name'] === port)) {
          yield {
            path: 'spec.rules',
            message: `there is no Service ${name} with port ${String(port)}`,
          };
        }
      }
    },
  },
  {
    id: 'monitor-target',
    meaning:
      'What is scraped is there: a monitor takes a Service or pods, by a port that they name.',
    fix: 'Make the selector and the port of the monitor those of its target.',
    *check(object, all): Iterable<Problem> {
      const pods = object.kind === 'PodMonitor';
      if (!pods && object.kind !== 'ServiceMonitor') return;
      const selector = mapAt(object, 'spec', 'selector');
      const services = all.filter(
        (one) => one.kind === 'Service' && selects(selector, mapAt(one, 'metadata', 'labels')),
      );
      const found = pods ? selected(selector, all) : services;
      if (found.length === 0) yield { path: 'spec.selector', message: 'takes nothing' };
      const named = found.flatMap((one) =>
        pods
          ? containersOf(one).flatMap(({ container }) => portsOf(container))
          : listAt(one, 'spec', 'ports').map(({ name }) => name),
      );
      for (const { port } of listAt(object, 'spec', pods ? 'podMetricsEndpoints' : 'endpoints')) {
        if (!named.includes(port as string)) {
          yield { path: 'spec', message: `nothing has a port named ${String(port)}` };
        }
      }
    },
  },
  {
    id: 'policy-selects',
    meaning: 'A NetworkPolicy is about pods of the release, and says which directions it closes.',
    fix: 'Make its podSelector that of a component, and set policyTypes.',
    *check(object, all): Iterable<Problem> {
      if (object.kind !== 'NetworkPolicy') return;
      const selector = mapAt(object, 'spec', 'podSelector');
      if (isEmptySelector(selector)) {
        yield { path: 'spec.podSelector', message: 'takes every pod of the namespace' };
      } else if (selected(selector, all).length === 0) {
        yield { path: 'spec.podSelector', message: 'takes no pod' };
      }
      if (!Array.isArray(at(object, 'spec', 'policyTypes'))) {
        yield { path: 'spec.policyTypes', message: 'is not set' };
      }
    },
  },
  {
    id: 'policy-covers',
    meaning:
      'Where there are NetworkPolicies, no pod of the release is without one, in either direction.',
    fix: 'Render a policy for the component.',
    *check(object, all): Iterable<Problem> {
      const pod = podOf(object);
      const policies = all.filter(({ kind }) => kind === 'NetworkPolicy');
      if (!pod || policies.length === 0) return;
      const own = policies.filter((one) => selects(mapAt(one, 'spec', 'podSelector'), pod.labels));
      for (const direction of ['Ingress', 'Egress']) {
        const closed = own.some((one) => {
          const types = at(one, 'spec', 'policyTypes');
          return Array.isArray(types) && types.includes(direction);
        });
        if (!closed) yield { path: '', message: `no NetworkPolicy is about its ${direction}` };
      }
    },
  },
  {
    id: 'account',
    meaning: 'A pod has an account that is named, and its token only where a role is bound to it.',
    fix: 'Set serviceAccountName, and automountServiceAccountToken to false.',
    *check(object, all): Iterable<Problem> {
      const pod = podOf(object);
      if (!pod) return;
      const name = String(pod.spec['serviceAccountName'] ?? '');
      const mounted = pod.spec['automountServiceAccountToken'] !== false;
      const bound = name !== '' && hasRole(name, all);
      const path = `${pod.path}.automountServiceAccountToken`;
      if (mounted && !bound) yield { path, message: 'is not false, and no role is bound' };
      if (pod.spec['serviceAccount'] !== undefined) {
        yield { path: `${pod.path}.serviceAccount`, message: 'is the old name of the key' };
      }
    },
  },
  {
    id: 'role-narrow',
    meaning:
      'A role names what it allows, and is bound in one namespace to accounts of the release.',
    fix: 'List resources and verbs, and bind with a RoleBinding.',
    *check(object, all): Iterable<Problem> {
      if (object.kind.startsWith('ClusterRole'))
        yield { path: 'kind', message: 'is for the whole cluster' };
      for (const rule of listAt(object, 'rules')) {
        for (const [key, values] of Object.entries(rule)) {
          if (Array.isArray(values) && values.includes('*')) {
            yield { path: `rules.${key}`, message: 'is everything' };
          }
        }
      }
      if (object.kind !== 'RoleBinding') return;
      const { kind, name } = mapAt(object, 'roleRef');
      const missing = (one: JsonObject): boolean =>
        !all.some(({ kind, metadata }) => kind === one['kind'] && metadata.name === one['name']);
      if (missing({ kind: kind ?? '', name: name ?? '' })) {
        yield { path: 'roleRef', message: `there is no ${String(kind)} ${String(name)}` };
      }
      for (const subject of listAt(object, 'subjects').filter(isObject).filter(missing)) {
        yield { path: 'subjects', message: `there is no account ${String(subject['name'])}` };
      }
    },
  },
];
