import type { KubernetesObject } from '../../scripts/chart/kubernetes-object.ts';
import { readObjects } from '../../scripts/chart/render.ts';

const LABELS = (component: string): string =>
  `{app.kubernetes.io/name: shop, app.kubernetes.io/instance: one, app.kubernetes.io/version: "1", app.kubernetes.io/managed-by: Helm, app.kubernetes.io/part-of: shop, helm.sh/chart: shop-1, app.kubernetes.io/component: ${component}}`;
const SELECTOR = (component: string): string =>
  `{app.kubernetes.io/name: shop, app.kubernetes.io/instance: one, app.kubernetes.io/component: ${component}}`;
const meta = (name: string, component = 'web'): string =>
  `metadata: {name: ${name}, labels: ${LABELS(component)}}`;

const CONTAINER = `
image: shop:1
env: [{name: MODE, value: fast}, {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}, {name: MAX_TOKENS, value: "7"}]
command: [serve, --token, $(TOKEN)]
ports: [{name: http, containerPort: 8080}]
startupProbe: {httpGet: {path: /livez, port: http}}
readinessProbe: {httpGet: {path: /livez, port: http}}
livenessProbe: {httpGet: {path: /livez, port: 8080}}
lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 64Mi}}
securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
volumeMounts: [{name: tmp, mountPath: /tmp}]
`;
const indented = (text: string, by: number): string =>
  text.trim().replaceAll('\n', `\n${' '.repeat(by)}`);

const template = (component: string, indent: number, more = ''): string =>
  indented(
    `
metadata: {labels: ${LABELS(component)}, annotations: {note: text}}
spec:
  serviceAccountName: shop
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 60
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: ${SELECTOR(component)}}}]
  volumes: [{name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
  containers:
    - name: ${component}
      ${indented(CONTAINER, 6)}
${more}`,
    indent,
  );

const policy = (component: string): string => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
${meta(`one-${component}`, component)}
spec: {podSelector: {matchLabels: ${SELECTOR(component)}}, policyTypes: [Ingress, Egress]}
---`;

const RELEASE = `
apiVersion: apps/v1
kind: Deployment
${meta('one-web')}
spec:
  selector: {matchLabels: ${SELECTOR('web')}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    ${template('web', 4)}
---
apiVersion: apps/v1
kind: StatefulSet
${meta('one-store', 'store')}
spec:
  serviceName: one-store
  selector: {matchLabels: ${SELECTOR('store')}}
  template:
    ${template('store', 4)}
  volumeClaimTemplates: [{metadata: {name: tmp, labels: {app: shop}}, spec: {}}]
---
apiVersion: batch/v1
kind: Job
${meta('one-job', 'job')}
spec:
  activeDeadlineSeconds: 9
  backoffLimit: 0
  ttlSecondsAfterFinished: 9
  template:
    ${template('job', 4)}
---
apiVersion: v1
kind: Pod
metadata: {name: one-test, labels: ${LABELS('test')}, annotations: {helm.sh/hook: test, helm.sh/hook-delete-policy: before-hook-creation}}
${template('test', 0).split('\n').slice(1).join('\n')}
  restartPolicy: Never
  activeDeadlineSeconds: 9
---
${['web', 'store', 'job', 'test'].map(policy).join('')}
apiVersion: v1
kind: Service
${meta('one-web')}
spec: {selector: ${SELECTOR('web')}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
${meta('one-store', 'store')}
spec: {clusterIP: None, selector: ${SELECTOR('store')}, ports: [{name: http, port: 8080}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
${meta('one-web')}
spec: {selector: {matchLabels: ${SELECTOR('web')}}, maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
${meta('one-web')}
spec:
  scaleTargetRef: {kind: Deployment, name: one-web}
  minReplicas: 2
  maxReplicas: 4
  metrics: [{type: Resource}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
${meta('one-store', 'store')}
spec:
  scaleTargetRef: {kind: StatefulSet, name: one-store}
  minReplicaCount: 2
  maxReplicaCount: 4
  fallback: {failureThreshold: 3, replicas: 2}
  triggers: [{type: prometheus, metricType: AverageValue, metadata: {ignoreNullValues: "false"}}]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
${meta('one-web')}
spec: {selector: {matchLabels: ${SELECTOR('web')}}, endpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
${meta('one-store', 'store')}
spec: {selector: {matchLabels: ${SELECTOR('store')}}, podMetricsEndpoints: [{port: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
${meta('one-web')}
spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: one-web, port: {number: 80}}}}]}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
${meta('one-web')}
spec: {rules: [{backendRefs: [{name: one-web, port: 80}]}]}
---
apiVersion: v1
kind: ServiceAccount
${meta('shop')}
---
apiVersion: v1
kind: ServiceAccount
${meta('keeper')}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
${meta('one-role')}
rules: [{apiGroups: [""], resources: [pods], verbs: [patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
${meta('one-role')}
roleRef: {kind: Role, name: one-role}
subjects: [{kind: ServiceAccount, name: keeper}]
---
apiVersion: v1
kind: ConfigMap
${meta('one-config')}
data: {mode: fast, address: "redis://:$(PASSWORD)@redis"}
`;

const OBJECTS = readObjects(RELEASE);

/** A release with which nothing is wrong: one object of each kind that rules know. */
export function goodRelease(): KubernetesObject[] {
  return structuredClone(OBJECTS);
}
