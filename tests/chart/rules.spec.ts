import { describe, expect, it } from '@jest/globals';
import { line } from '../../scripts/chart/finding.ts';
import type { Json } from '../../scripts/chart/kubernetes-object.ts';
import { RULES, ruleFindings } from '../../scripts/chart/rules/all-rules.ts';
import { goodRelease } from './good-release.fixture.ts';

const POD = 'spec.template.spec';
const FIRST = `${POD}.containers.0`;

/** Rule, what is changed in the good release, and to what; nothing takes the key away. */
const BAD: readonly (readonly [rule: string, at: string, value?: Json])[] = [
  ['pod-security-host-namespaces', `Deployment ${POD}.hostNetwork`, true],
  ['pod-security-host-namespaces', `StatefulSet ${POD}.hostPID`, true],
  ['pod-security-host-namespaces', 'Pod spec.hostIPC', true],
  ['pod-security-privileged', `Deployment ${FIRST}.securityContext.privileged`, true],
  ['pod-security-capabilities', `Deployment ${FIRST}.securityContext.capabilities`],
  ['pod-security-capabilities', `Job ${FIRST}.securityContext.capabilities.add`, ['SYS_ADMIN']],
  [
    'pod-security-volumes',
    `Deployment ${POD}.volumes.0`,
    { name: 'tmp', hostPath: { path: '/mnt' } },
  ],
  ['pod-security-host-ports', `Deployment ${FIRST}.ports.0.hostPort`, 8080],
  [
    'pod-security-apparmor',
    `Deployment ${POD}.securityContext.appArmorProfile`,
    { type: 'Unconfined' },
  ],
  ['pod-security-selinux', `Deployment ${FIRST}.securityContext.seLinuxOptions`, { type: 'spc_t' }],
  ['pod-security-selinux', `Deployment ${POD}.securityContext.seLinuxOptions`, { user: 'root' }],
  ['pod-security-proc-mount', `Deployment ${FIRST}.securityContext.procMount`, 'Unmasked'],
  ['pod-security-seccomp', `Deployment ${POD}.securityContext.seccompProfile`],
  [
    'pod-security-seccomp',
    `Deployment ${FIRST}.securityContext.seccompProfile`,
    { type: 'Unconfined' },
  ],
  [
    'pod-security-sysctls',
    `Deployment ${POD}.securityContext.sysctls`,
    [{ name: 'kernel.msgmax', value: '1' }],
  ],
  ['pod-security-escalation', `Deployment ${FIRST}.securityContext.allowPrivilegeEscalation`],
  ['pod-security-non-root', `Deployment ${POD}.securityContext.runAsNonRoot`],
  ['pod-security-non-root', `Deployment ${FIRST}.securityContext.runAsNonRoot`, false],
  ['pod-security-user', `Deployment ${POD}.securityContext.runAsUser`],
  ['pod-security-user', `Deployment ${FIRST}.securityContext.runAsUser`, 0],
  [
    'pod-security-host-process',
    `Deployment ${POD}.securityContext.windowsOptions`,
    { hostProcess: true },
  ],
  ['pod-security-probe-host', `Deployment ${FIRST}.livenessProbe.httpGet.host`, 'example.org'],
  ['image-tag', `Deployment ${FIRST}.image`, 'registry:5000/shop'],
  ['image-tag', `Deployment ${FIRST}.image`, 'shop:latest'],
  ['resources', `Deployment ${FIRST}.resources.requests.cpu`],
  ['resources', `Deployment ${FIRST}.resources.limits`],
  ['read-only-root', `Deployment ${FIRST}.securityContext.readOnlyRootFilesystem`, false],
  ['probes', `Deployment ${FIRST}.readinessProbe`],
  ['probes', `StatefulSet ${FIRST}.livenessProbe`],
  ['probe-port', `Deployment ${FIRST}.readinessProbe.httpGet.port`, 'metrics'],
  ['probe-port', `Deployment ${FIRST}.lifecycle.preStop`, { httpGet: { port: 9 } }],
  ['ports-unique', `Deployment ${FIRST}.ports.1`, { name: 'two', containerPort: 8080 }],
  ['ports-unique', `Deployment ${FIRST}.ports.1`, { name: 'ssh', containerPort: 22 }],
  ['env-unique', `Deployment ${FIRST}.env.3`, { name: 'MODE', value: 'slow' }],
  ['mounts', `Deployment ${FIRST}.volumeMounts.1`, { name: 'none', mountPath: '/none' }],
  ['mounts', `Deployment ${FIRST}.volumeMounts.1`, { name: 'tmp', mountPath: '/tmp' }],
  ['mounts', `Deployment ${POD}.volumes.1`, { name: 'idle', emptyDir: {} }],
  [
    'node-mounts',
    `Deployment ${POD}.volumes.0`,
    { name: 'tmp', hostPath: { path: '/etc/kubernetes' } },
  ],
  [
    'node-mounts',
    `Deployment ${POD}.volumes.0`,
    { name: 'tmp', hostPath: { path: '/mnt/docker.sock' } },
  ],
  ['shared-memory', `Deployment ${POD}.volumes.0.emptyDir.sizeLimit`],
  ['graceful-end', `Deployment ${POD}.terminationGracePeriodSeconds`, 5],
  ['graceful-end', `Deployment ${FIRST}.lifecycle.preStop`, { sleep: { seconds: 60 } }],
  ['secret-in-env', `Deployment ${FIRST}.env.0`, { name: 'ADMIN_PASSWORD', value: 'abc' }],
  ['secret-in-env', `Deployment ${FIRST}.env.0`, { name: 'URL', value: 'redis://:abc@redis' }],
  ['secret-in-command', `Deployment ${FIRST}.command.2`, 'abc'],
  ['secret-in-command', `Job ${FIRST}.args`, ['--api-key=abc']],
  ['secret-in-command', `Job ${FIRST}.args`, ['hf_abcdefghijklmnopqrstuvwxyz']],
  ['secret-in-config', 'ConfigMap data.address', 'redis://user:abc@redis'],
  ['secret-in-config', 'ConfigMap data.api-token', 'abc'],
  ['secret-made', 'ConfigMap kind', 'Secret'],
  ['name', 'Deployment metadata.name', 'a'.repeat(64)],
  ['name', 'StatefulSet metadata.name', 'a'.repeat(53)],
  ['name', 'ConfigMap metadata.name', 'One'],
  ['name-unique', 'NetworkPolicy metadata.name', 'one-store'],
  ['labels', 'Ingress metadata.labels', {}],
  ['labels', 'Deployment spec.template.metadata.labels', {}],
  ['label-values', 'Ingress metadata.labels.note', 'two words'],
  ['label-values', 'Deployment spec.template.metadata.labels.note', 'x'.repeat(64)],
  ['selector-stable', 'Deployment spec.selector.matchLabels', { 'helm.sh/chart': 'shop-1' }],
  [
    'selector-stable',
    'StatefulSet spec.volumeClaimTemplates.0.metadata.labels',
    { 'helm.sh/chart': 'a' },
  ],
  ['selector-own', 'Service spec.selector', { 'app.kubernetes.io/component': 'web' }],
  [
    'selector-own',
    'NetworkPolicy spec.podSelector.matchLabels',
    { 'app.kubernetes.io/name': 'shop' },
  ],
  ['selector-matches', 'Deployment spec.selector.matchLabels.tier', 'front'],
  [
    'selector-apart',
    'Deployment spec.selector.matchLabels',
    { 'app.kubernetes.io/instance': 'one' },
  ],
  ['service-pods', 'Service spec.selector.tier', 'front'],
  ['service-pods', 'Service spec.selector', { 'app.kubernetes.io/instance': 'one' }],
  ['service-port', 'Service spec.ports.0.targetPort', 'metrics'],
  ['service-port', 'Service spec.ports.0', { port: 80 }],
  ['stateful-service', 'StatefulSet spec.serviceName', 'other'],
  ['route-backend', 'Ingress spec.rules.0.http.paths.0.backend.service.name', 'other'],
  ['route-backend', 'HTTPRoute spec.rules.0.backendRefs.0.port', 81],
  ['monitor-target', 'ServiceMonitor spec.selector.matchLabels.tier', 'front'],
  ['monitor-target', 'PodMonitor spec.podMetricsEndpoints.0.port', 'metrics'],
  ['policy-selects', 'NetworkPolicy spec.podSelector', {}],
  ['policy-selects', 'NetworkPolicy spec.podSelector.matchLabels.tier', 'front'],
  ['policy-selects', 'NetworkPolicy spec.policyTypes'],
  ['policy-covers', 'NetworkPolicy spec.policyTypes', ['Ingress']],
  ['account', `Deployment ${POD}.automountServiceAccountToken`],
  ['account', `Deployment ${POD}.serviceAccount`, 'shop'],
  ['role-narrow', 'Role rules.0.verbs', ['*']],
  ['role-narrow', 'Role kind', 'ClusterRole'],
  ['role-narrow', 'RoleBinding subjects.0.name', 'other'],
  ['role-narrow', 'RoleBinding roleRef.name', 'other'],
  ['autoscaler-target', 'HorizontalPodAutoscaler spec.scaleTargetRef.name', 'other'],
  [
    'autoscaler-target',
    'HorizontalPodAutoscaler spec.scaleTargetRef',
    { kind: 'StatefulSet', name: 'one-store' },
  ],
  ['autoscaler-bounds', 'HorizontalPodAutoscaler spec.minReplicas', 5],
  ['autoscaler-bounds', 'ScaledObject spec.triggers', []],
  ['autoscaler-data', 'ScaledObject spec.triggers.0.metadata.ignoreNullValues'],
  ['autoscaler-data', 'ScaledObject spec.triggers.0.metricType', 'Value'],
  ['autoscaler-data', 'ScaledObject spec.fallback'],
  ['autoscaler-replicas', 'Deployment spec.replicas', 3],
  ['budget', 'PodDisruptionBudget spec.maxUnavailable', 0],
  ['budget', 'PodDisruptionBudget spec.maxUnavailable', '0%'],
  ['budget', 'PodDisruptionBudget spec.minAvailable', 1],
  ['budget', 'PodDisruptionBudget spec.unhealthyPodEvictionPolicy'],
  ['budget', 'PodDisruptionBudget spec.selector.matchLabels.tier', 'front'],
  ['spread', `Deployment ${POD}.topologySpreadConstraints`],
  [
    'spread',
    `StatefulSet ${POD}.topologySpreadConstraints.0.labelSelector.matchLabels.tier`,
    'front',
  ],
  ['rollout', 'Deployment spec.strategy.rollingUpdate.maxSurge', 0],
  ['job-end', 'Job spec.ttlSecondsAfterFinished'],
  ['job-end', 'Job spec.activeDeadlineSeconds'],
  ['test-end', 'Pod spec.activeDeadlineSeconds'],
  ['test-end', 'Pod spec.restartPolicy', 'Always'],
  ['test-end', 'Pod metadata.annotations', { 'helm.sh/hook': 'test' }],
];

describe('a release with which nothing is wrong', () => {
  it('has no finding', () => {
    expect(ruleFindings(goodRelease()).map(line)).toEqual([]);
  });
});

describe('the rules of objects', () => {
  // Of a row that is too short Jest takes the last parameter for a callback.
  it.each(BAD.map(([rule, place, value]) => [rule, place, value] as const))(
    '%s: %s = %j',
    (rule, place, value) => {
      const objects = changed(place, value);
      const found = ruleFindings(objects);
      expect(found.map((one) => one.rule)).toContain(rule);
      for (const one of found) expect(one.message).not.toBe('');
    },
  );

  it('each have a bad object above, and say what they mean and how to mend it', () => {
    const tried = new Set(BAD.map(([rule]) => rule));
    expect(RULES.filter(({ id }) => !tried.has(id)).map(({ id }) => id)).toEqual([]);
    expect(new Set(RULES.map(({ id }) => id)).size).toBe(RULES.length);
    for (const { meaning, fix } of RULES) {
      expect(meaning.endsWith('.') && fix.endsWith('.')).toBe(true);
    }
  });

  it('reach into CronJobs and sidecars', () => {
    const objects = goodRelease();
    const job = objects.find(({ kind }) => kind === 'Job') as unknown as {
      spec: { template: unknown };
    };
    const cron = {
      ...structuredClone(job),
      kind: 'CronJob',
      spec: { jobTemplate: { spec: job.spec } },
    };
    const deep = structuredClone(cron) as unknown as {
      spec: {
        jobTemplate: {
          spec: {
            template: { spec: { containers: Record<string, unknown>[]; initContainers?: unknown } };
          };
        };
      };
    };
    const pod = deep.spec.jobTemplate.spec.template.spec;
    pod.initContainers = [
      { ...pod.containers[0], name: 'before', image: 'other:latest', ports: [] },
    ];
    const all = [...objects.filter((one) => one.kind !== 'Job'), deep as never];
    const paths = ruleFindings(all).map(({ rule, path }) => `${rule} ${path}`);
    expect(paths).toEqual([
      'image-tag spec.jobTemplate.spec.template.spec.initContainers[before].image',
      'probe-port spec.jobTemplate.spec.template.spec.initContainers[before].startupProbe.httpGet',
      'probe-port spec.jobTemplate.spec.template.spec.initContainers[before].readinessProbe.httpGet',
      'probe-port spec.jobTemplate.spec.template.spec.initContainers[before].livenessProbe.httpGet',
    ]);
  });
});

/** The good release with one place of the first object of a kind set to a value, or taken away. */
function changed(place: string, value?: Json) {
  const [kind = '', path = ''] = place.split(' ');
  const objects = goodRelease();
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let target = objects.find((one) => one.kind === kind) as unknown as Record<string, unknown>;
  for (const key of keys) {
    target[key] ??= {};
    target = target[key] as Record<string, unknown>;
  }
  if (value === undefined) delete target[last];
  else target[last] = value;
  return objects;
}
