import { at, type Json, type KubernetesObject, listAt, mapAt } from '../kubernetes-object.ts';
import {
  type ContainerPlace,
  containersOf,
  type PodPlace,
  type Problem,
  podOf,
  type Rule,
} from './rule.ts';

/** What may be a volume of a restricted pod. An OCI image is read-only data. */
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
];
const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
];
const SELINUX_TYPES = ['container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'];

type OfPod = (pod: PodPlace) => Iterable<readonly [path: string, message: string]>;
type OfContainer = (
  place: ContainerPlace,
  pod: PodPlace,
) => Iterable<readonly [path: string, message: string]>;

function podRule(id: string, meaning: string, fix: string, check: OfPod): Rule {
  return {
    id: `pod-security-${id}`,
    meaning,
    fix,
    *check(object: KubernetesObject): Iterable<Problem> {
      const pod = podOf(object);
      if (!pod) return;
      for (const [path, message] of check(pod)) yield { path: `${pod.path}.${path}`, message };
    },
  };
}

function containerRule(id: string, meaning: string, fix: string, check: OfContainer): Rule {
  return {
    id: `pod-security-${id}`,
    meaning,
    fix,
    *check(object: KubernetesObject): Iterable<Problem> {
      const pod = podOf(object);
      if (!pod) return;
      for (const place of containersOf(object)) {
        for (const [path, message] of check(place, pod)) {
          yield { path: `${place.path}.${path}`, message };
        }
      }
    },
  };
}

/** What holds for a container: its own word, or that of its pod. */
function effective(
  { container }: ContainerPlace,
  { spec }: PodPlace,
  key: string,
): Json | undefined {
  return at(container, 'securityContext', key) ?? at(spec, 'securityContext', key);
}

/** The Pod Security Standard `restricted`, and that the user has a number. */
export const POD_SECURITY: readonly Rule[] = [
  podRule(
    'host-namespaces',
    'A pod shares neither network, processes nor IPC of its node.',
    'Leave hostNetwork, hostPID and hostIPC out.',
    function* ({ spec }) {
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) {
        if (spec[key] === true) yield [key, 'is true'];
      }
    },
  ),
  containerRule(
    'privileged',
    'No container is privileged.',
    'Leave securityContext.privileged out.',
    function* ({ container }) {
      if (at(container, 'securityContext', 'privileged') === true) {
        yield ['securityContext.privileged', 'is true'];
      }
    },
  ),
  containerRule(
    'capabilities',
    'A container drops all capabilities, and takes back NET_BIND_SERVICE at most.',
    'Set securityContext.capabilities.drop to [ALL].',
    function* ({ container }) {
      const { drop, add } = mapAt(container, 'securityContext', 'capabilities');
      if (!Array.isArray(drop) || !drop.includes('ALL')) {
        yield ['securityContext.capabilities.drop', 'does not name ALL'];
      }
      for (const one of Array.isArray(add) ? (add as readonly Json[]) : []) {
        if (one !== 'NET_BIND_SERVICE') {
          yield ['securityContext.capabilities.add', `names ${String(one)}`];
        }
      }
    },
  ),
  podRule(
    'volumes',
    'A pod mounts nothing of its node.',
    'Use a claim, a projected volume, an emptyDir or an image.',
    function* ({ spec }) {
      for (const volume of listAt(spec, 'volumes')) {
        const kinds = Object.keys(volume).filter((key) => key !== 'name');
        for (const kind of kinds.filter((one) => !VOLUMES.includes(one))) {
          yield [`volumes[${String(volume['name'])}]`, `is of the kind ${kind}`];
        }
      }
    },
  ),
  containerRule(
    'host-ports',
    'A container takes no port of its node.',
    'Leave hostPort out.',
    function* ({ container }) {
      for (const port of listAt(container, 'ports')) {
        if (port['hostPort'] !== undefined && port['hostPort'] !== 0) {
          yield ['ports', `has hostPort ${String(port['hostPort'])}`];
        }
      }
    },
  ),
  containerRule(
    'apparmor',
    'AppArmor stays on.',
    'Leave appArmorProfile out, or set RuntimeDefault.',
    function* (place, pod) {
      const profile = effective(place, pod, 'appArmorProfile');
      if (profile !== undefined && at(profile, 'type') === 'Unconfined') {
        yield ['securityContext.appArmorProfile', 'is Unconfined'];
      }
      const key = `container.apparmor.security.beta.kubernetes.io/${place.name}`;
      if (pod.annotations[key] === 'unconfined') yield ['', `the annotation ${key} is unconfined`];
    },
  ),
  containerRule(
    'selinux',
    'SELinux types are those of containers, without a user or role.',
    'Leave seLinuxOptions out.',
    function* (place, pod) {
      const options = effective(place, pod, 'seLinuxOptions');
      const type = at(options, 'type');
      if (type !== undefined && !SELINUX_TYPES.includes(String(type))) {
        yield ['securityContext.seLinuxOptions.type', `is ${String(type)}`];
      }
      for (const key of ['user', 'role']) {
        if (at(options, key)) yield [`securityContext.seLinuxOptions.${key}`, 'is set'];
      }
    },
  ),
  containerRule(
    'proc-mount',
    'The mask over /proc stays.',
    'Leave securityContext.procMount out.',
    function* ({ container }) {
      const mount = at(container, 'securityContext', 'procMount');
      if (mount !== undefined && mount !== 'Default') {
        yield ['securityContext.procMount', `is ${String(mount)}`];
      }
    },
  ),
  containerRule(
    'seccomp',
    'System calls are filtered, by the word of the pod or of the container.',
    'Set securityContext.seccompProfile.type to RuntimeDefault.',
    function* (place, pod) {
      const type = at(effective(place, pod, 'seccompProfile'), 'type');
      if (type !== 'RuntimeDefault' && type !== 'Localhost') {
        yield ['securityContext.seccompProfile.type', `is ${String(type)}`];
      }
    },
  ),
  podRule(
    'sysctls',
    'Only sysctls that are safe are set.',
    'Leave unsafe sysctls out.',
    function* ({ spec }) {
      for (const { name } of listAt(spec, 'securityContext', 'sysctls')) {
        if (!SYSCTLS.includes(String(name))) {
          yield ['securityContext.sysctls', `sets ${String(name)}`];
        }
      }
    },
  ),
  containerRule(
    'escalation',
    'No process gets more rights than its parent.',
    'Set securityContext.allowPrivilegeEscalation to false.',
    function* ({ container }) {
      if (at(container, 'securityContext', 'allowPrivilegeEscalation') !== false) {
        yield ['securityContext.allowPrivilegeEscalation', 'is not false'];
      }
    },
  ),
  containerRule(
    'non-root',
    'No container runs as root.',
    'Set securityContext.runAsNonRoot to true.',
    function* (place, pod) {
      if (effective(place, pod, 'runAsNonRoot') !== true) {
        yield ['securityContext.runAsNonRoot', 'is not true'];
      }
    },
  ),
  containerRule(
    'user',
    'The user is a number beside 0: with a name the kubelet cannot tell that it is not root.',
    'Set securityContext.runAsUser, such as to 1000.',
    function* (place, pod) {
      const user = effective(place, pod, 'runAsUser');
      if (typeof user !== 'number' || user === 0) {
        yield ['securityContext.runAsUser', `is ${String(user)}`];
      }
    },
  ),
  podRule(
    'host-process',
    'No Windows pod is a process of its node.',
    'Leave windowsOptions.hostProcess out.',
    function* ({ spec }) {
      const places = [spec, ...listAt(spec, 'containers'), ...listAt(spec, 'initContainers')];
      for (const place of places) {
        if (at(place, 'securityContext', 'windowsOptions', 'hostProcess') === true) {
          yield ['securityContext.windowsOptions.hostProcess', 'is true'];
        }
      }
    },
  ),
  containerRule(
    'probe-host',
    'Probes and hooks ask the pod itself, and no other host.',
    'Leave host out of httpGet and tcpSocket.',
    function* ({ container }) {
      const hooks = ['postStart', 'preStop'].map((key) => ['lifecycle', key]);
      const probes = ['startupProbe', 'readinessProbe', 'livenessProbe'].map((key) => [key]);
      for (const way of [...probes, ...hooks]) {
        for (const kind of ['httpGet', 'tcpSocket']) {
          if (at(container, ...way, kind, 'host'))
            yield [[...way, kind, 'host'].join('.'), 'is set'];
        }
      }
    },
  ),
];
