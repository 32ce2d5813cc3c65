import { at, type JsonObject, listAt, mapAt } from '../kubernetes-object.ts';
import { containersOf, isService, type Problem, podOf, type Rule } from './rule.ts';

const PROBES = ['startupProbe', 'readinessProbe', 'livenessProbe'];
/** Folders of a node whose mount is as good as root on it. */
const SENSITIVE = /^\/(boot|dev|etc|lib|proc|sys|usr|var\/run|run|root)?(\/|$)/;
const SOCKETS = /\/(docker|containerd|crio|podman)[^/]*\.sock$/;

/** The ports that a container says it listens on, by number and name. */
export function portsOf(container: JsonObject): (string | number)[] {
  return listAt(container, 'ports').flatMap(({ name, containerPort }) => [
    ...(typeof containerPort === 'number' ? [containerPort] : []),
    ...(typeof name === 'string' ? [name] : []),
  ]);
}

/** What holds for each container by itself. */
export const CONTAINERS: readonly Rule[] = [
  {
    id: 'image-tag',
    meaning: 'An image is named by a version or a digest: what latest is changes under a release.',
    fix: 'Give the image a tag other than latest, or a digest.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        const image = String(container['image'] ?? '');
        const name = image.split('/').at(-1) ?? '';
        if (image.includes('@sha256:')) continue;
        const tag = name.split(':')[1];
        if (!tag || tag === 'latest') yield { path: `${path}.image`, message: `is "${image}"` };
      }
    },
  },
  {
    id: 'resources',
    meaning:
      'The scheduler knows what a container needs, and no container takes the memory of its neighbours.',
    fix: 'Set resources.requests.cpu, requests.memory and limits.memory.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        for (const way of [
          ['requests', 'cpu'],
          ['requests', 'memory'],
          ['limits', 'memory'],
        ]) {
          if (at(container, 'resources', ...way) === undefined) {
            yield { path: `${path}.resources.${way.join('.')}`, message: 'is not set' };
          }
        }
      }
    },
  },
  {
    id: 'read-only-root',
    meaning: 'Nobody writes into a container: what is written lies in volumes that are declared.',
    fix: 'Set securityContext.readOnlyRootFilesystem to true and mount an emptyDir where needed.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        if (at(container, 'securityContext', 'readOnlyRootFilesystem') !== true) {
          yield { path: `${path}.securityContext.readOnlyRootFilesystem`, message: 'is not true' };
        }
      }
    },
  },
  {
    id: 'probes',
    meaning: 'What serves is asked whether it is ready, and started anew when it hangs.',
    fix: 'Give the container a readinessProbe and a livenessProbe; a sidecar a startupProbe at least.',
    *check(object): Iterable<Problem> {
      if (!isService(object)) return;
      for (const { path, container, lasting } of containersOf(object)) {
        if (!lasting) continue;
        const sidecar = container['restartPolicy'] === 'Always';
        for (const probe of sidecar ? ['startupProbe'] : ['readinessProbe', 'livenessProbe']) {
          if (!container[probe]) yield { path: `${path}.${probe}`, message: 'is missing' };
        }
      }
    },
  },
  {
    id: 'probe-port',
    meaning: 'Probes and hooks ask ports that their container listens on.',
    fix: 'Name the port in ports, or correct the probe.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        const ports = portsOf(container);
        for (const way of [...PROBES.map((key) => [key]), ['lifecycle', 'preStop']]) {
          for (const kind of ['httpGet', 'tcpSocket', 'grpc']) {
            const port = at(container, ...way, kind, 'port');
            if (port === undefined || ports.includes(port as string | number)) continue;
            yield { path: `${path}.${[...way, kind].join('.')}`, message: `asks ${String(port)}` };
          }
        }
      }
    },
  },
  {
    id: 'ports-unique',
    meaning:
      'Two containers of a pod share one network: no port and no name of one is taken twice.',
    fix: 'Give each port a number and a name of its own.',
    *check(object): Iterable<Problem> {
      const taken = new Set<string | number>();
      for (const { path, container } of containersOf(object)) {
        for (const one of portsOf(container)) {
          if (taken.has(one)) yield { path: `${path}.ports`, message: `${one} is there twice` };
          taken.add(one);
        }
        if (portsOf(container).includes(22)) yield { path: `${path}.ports`, message: 'is SSH' };
      }
    },
  },
  {
    id: 'env-unique',
    meaning: 'Of a variable that is set twice the last one counts, which nobody sees.',
    fix: 'Set each variable once.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        const seen = new Set<string>();
        for (const { name } of listAt(container, 'env')) {
          if (seen.has(String(name))) {
            yield { path: `${path}.env`, message: `${String(name)} is there twice` };
          }
          seen.add(String(name));
        }
      }
    },
  },
  {
    id: 'mounts',
    meaning:
      'What is mounted is a volume of the pod, once for each path; no volume is for nothing.',
    fix: 'Declare the volume, or take it away.',
    *check(object): Iterable<Problem> {
      const pod = podOf(object);
      if (!pod) return;
      const templates = listAt(object, 'spec', 'volumeClaimTemplates');
      const claimed = templates.map((one) => String(mapAt(one, 'metadata')['name']));
      const own = listAt(pod.spec, 'volumes').map(({ name }) => String(name));
      const used = new Set<string>();
      for (const { path, container } of containersOf(object)) {
        const places = new Set<string>();
        for (const mount of listAt(container, 'volumeMounts')) {
          const [name, place] = [String(mount['name']), String(mount['mountPath'])];
          used.add(name);
          if (![...own, ...claimed].includes(name)) {
            yield { path: `${path}.volumeMounts`, message: `there is no volume ${name}` };
          }
          if (places.has(place)) {
            yield { path: `${path}.volumeMounts`, message: `${place} is there twice` };
          }
          places.add(place);
        }
      }
      for (const name of [...own, ...claimed]) {
        if (!used.has(name))
          yield { path: `${pod.path}.volumes[${name}]`, message: 'is not mounted' };
      }
      for (const name of own.filter((one, index) => own.indexOf(one) !== index)) {
        yield { path: `${pod.path}.volumes[${name}]`, message: 'is there twice' };
      }
    },
  },
  {
    id: 'node-mounts',
    meaning: 'No socket of a container runtime and no folder of the system of a node is mounted.',
    fix: 'Use a folder that is made for it, such as one below /mnt.',
    *check(object): Iterable<Problem> {
      const pod = podOf(object);
      for (const volume of pod ? listAt(pod.spec, 'volumes') : []) {
        const path = at(volume, 'hostPath', 'path');
        if (typeof path !== 'string') continue;
        if (SOCKETS.test(path) || SENSITIVE.test(path)) {
          yield { path: `${pod?.path}.volumes[${String(volume['name'])}]`, message: `is ${path}` };
        }
      }
    },
  },
  {
    id: 'shared-memory',
    meaning: 'Memory that a volume takes is bounded, as it counts as memory of the containers.',
    fix: 'Give an emptyDir of medium Memory a sizeLimit.',
    *check(object): Iterable<Problem> {
      const pod = podOf(object);
      for (const volume of pod ? listAt(pod.spec, 'volumes') : []) {
        const { medium, sizeLimit } = mapAt(volume, 'emptyDir');
        if (medium === 'Memory' && sizeLimit === undefined) {
          const path = `${pod?.path}.volumes[${String(volume['name'])}].emptyDir.sizeLimit`;
          yield { path, message: 'is not set' };
        }
      }
    },
  },
  {
    id: 'graceful-end',
    meaning: 'A pod has more time to end than its hook alone pauses.',
    fix: 'Raise terminationGracePeriodSeconds, or shorten the pause.',
    *check(object): Iterable<Problem> {
      const pod = podOf(object);
      const grace = Number(pod?.spec['terminationGracePeriodSeconds'] ?? 30);
      for (const { path, container } of containersOf(object)) {
        const command = at(container, 'lifecycle', 'preStop', 'exec', 'command');
        const asleep = Number(at(container, 'lifecycle', 'preStop', 'sleep', 'seconds') ?? 0);
        const last = Array.isArray(command) ? Number(command.at(-1)) : 0;
        const pause = asleep || (Number.isFinite(last) ? last : 0);
        if (pause >= grace) {
          yield {
            path: `${path}.lifecycle.preStop`,
            message: `takes ${pause} of ${grace} seconds`,
          };
        }
      }
    },
  },
];
