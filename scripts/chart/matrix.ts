import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CHART } from './helm.ts';
import type { JsonObject } from './kubernetes-object.ts';
import type { RenderOptions, Values } from './render.ts';

/** One way to install the chart, which must come out without a finding. */
export interface MatrixCase {
  readonly name: string;
  readonly options: RenderOptions;
  /** Rules that whoever sets these values breaks with intent. */
  readonly except: readonly string[];
}

/** The oldest and the newest Kubernetes that the chart is for. */
export const KUBE_VERSIONS = ['1.29', '1.36'] as const;
/** What a cluster with all operators has. */
const ALL_APIS = ['keda.sh/v1alpha1', 'monitoring.coreos.com/v1', 'gateway.networking.k8s.io/v1'];

const TRIAL: JsonObject = {
  auth: { existingSecret: 'voice-keys' },
  redis: { embedded: { enabled: true } },
  pools: { cpu: { engine: 'pocketsphinx' } },
};

/** For every component that takes them. */
const EXTRAS: JsonObject = {
  podAnnotations: { 'example.org/note': 'text' },
  podLabels: { team: 'speech' },
  extraEnv: [{ name: 'EXTRA', value: '1' }],
  extraEnvFrom: [{ configMapRef: { name: 'extra' } }],
  extraVolumes: [{ name: 'extra', emptyDir: { sizeLimit: '1Gi' } }],
  extraVolumeMounts: [{ name: 'extra', mountPath: '/extra' }],
  nodeSelector: { disk: 'fast' },
  tolerations: [{ key: 'speech', operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  priorityClassName: 'high',
  schedulerName: 'other',
};
const HPA = { enabled: true, minReplicas: 2, maxReplicas: 8 };

/** Everything that can be switched on at once. */
const ALL_ON: JsonObject = {
  commonLabels: { owner: 'speech' },
  imagePullSecrets: [{ name: 'pull' }],
  images: { registry: 'registry.example.org', gateway: { digest: `sha256:${'a'.repeat(64)}` } },
  auth: {
    existingSecret: 'voice-keys',
    adminKeyKey: 'admin-key',
    webhookSecretKey: 'webhook-secret',
  },
  redis: { existingSecret: { name: 'voice-redis' } },
  tracing: { enabled: true, endpoint: 'http://collector.observability:4318' },
  jobs: {
    enabled: true,
    s3: { bucket: 'recordings', endpoint: 'http://store:9000', existingSecret: 'store' },
  },
  gateway: {
    ...EXTRAS,
    autoscaling: HPA,
    tls: { existingSecret: 'voice-tls' },
    service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
  },
  llmTts: {
    ...EXTRAS,
    autoscaling: HPA,
    llm: { baseUrl: 'http://llm:8000/v1', model: 'small', existingSecret: { name: 'llm' } },
    tts: {
      baseUrl: 'http://tts:8000/v1',
      model: 'tts',
      voice: 'a',
      existingSecret: { name: 'tts' },
    },
  },
  workerDefaults: {
    ...EXTRAS,
    slotsPerPod: 32,
    model: { token: { existingSecret: 'hub' }, revision: 'main' },
    vllm: { apiKey: { existingSecret: 'vllm' } },
    autoscaling: { enabled: true, prometheusAddress: 'http://prometheus:9090' },
  },
  pools: {
    l40s: { gpu: { product: 'NVIDIA-L40S', runtimeClassName: 'nvidia' }, weight: 95 },
    canary: { image: { tag: '9.9.9' }, weight: 5, autoscaling: { minReplicas: 0 } },
    hpa: { autoscaling: { kind: 'hpa' }, model: { cache: { kind: 'claimTemplate' } } },
    moving: {
      kind: 'Deployment',
      model: { cache: { kind: 'existingClaim', claimName: 'models' } },
    },
    small: { engine: 'pocketsphinx', autoscaling: { enabled: false }, replicas: 3 },
  },
  ingress: { enabled: true, className: 'nginx', hosts: ['voice.example.org'], tlsSecret: 'cert' },
  httpRoute: { enabled: true, parentRefs: [{ name: 'public' }], hostnames: ['voice.example.org'] },
  networkPolicy: { monitoringNamespace: { name: 'monitoring' } },
  monitoring: {
    scrape: { enabled: true, labels: { release: 'stack' } },
    rules: { enabled: true, labels: { release: 'stack' } },
    dashboards: { enabled: true },
  },
  loadTest: { enabled: true, schedule: '0 3 * * *' },
};

const ALL_OFF: JsonObject = {
  auth: { existingSecret: 'voice-keys' },
  redis: { url: 'redis://redis:6379' },
  pools: {
    cpu: {
      engine: 'pocketsphinx',
      pdb: { enabled: false },
      protect: { fromNodeAutoscaler: false },
    },
  },
  gateway: {
    pdb: { enabled: false },
    pauseSeconds: 0,
    replicas: 1,
    serviceAccount: { create: false, name: 'own' },
  },
  llmTts: { enabled: false },
  networkPolicy: { enabled: false },
  tests: { enabled: false },
};

/** What differs from an installation for a trial, or from the one beside it. */
const OTHERS: readonly (readonly [name: string, values: Values, ...except: string[]])[] = [
  ['everything on', ALL_ON],
  ['everything off', ALL_OFF],
  ['a trial', TRIAL],
  ['a load test that runs once', { ...TRIAL, loadTest: { enabled: true } }],
  ['IPv6', { ...TRIAL, ipFamily: 'IPv6' }],
  [
    'no pod at all',
    { ...TRIAL, gateway: { replicas: 0 }, pools: { cpu: { engine: 'pocketsphinx', replicas: 0 } } },
  ],
  [
    'a budget by what must be there',
    { ...TRIAL, gateway: { replicas: 3, pdb: { maxUnavailable: null, minAvailable: 2 } } },
  ],
  ['jobs on a shared claim', { ...TRIAL, jobs: { enabled: true, existingClaim: 'recordings' } }],
  [
    'a trial Redis without a volume',
    { ...TRIAL, redis: { embedded: { enabled: true, persistence: { enabled: false } } } },
  ],
  ['a model in an image', withModel({ source: 'image', image: { reference: 'models/voxtral:1' } })],
  ['a model on a claim', withModel({ source: 'volume', volume: { existingClaim: 'models' } })],
  [
    'a model on the node',
    withModel({ source: 'volume', volume: { hostPath: '/mnt/models' } }),
    'pod-security-volumes',
  ],
  [
    'a cache on the node',
    withModel({ cache: { kind: 'hostPath', path: '/mnt/cache' } }),
    'pod-security-volumes',
  ],
  [
    'cards by claims of resources',
    withPool({
      gpu: { count: 0, resourceClaims: [{ name: 'card', resourceClaimTemplateName: 'cards' }] },
    }),
  ],
  [
    'a Deployment that replaces pods in place',
    withPool({ kind: 'Deployment', rollout: { maxSurge: 0, maxUnavailable: 1 } }),
  ],
  [
    'long names',
    {
      ...TRIAL,
      fullnameOverride: 'a'.repeat(24),
      pools: { abcdefghijklmnop: { engine: 'pocketsphinx' } },
    },
  ],
];

function withPool(pool: JsonObject): JsonObject {
  return { ...TRIAL, pools: { card: pool } };
}

function withModel(model: JsonObject): JsonObject {
  return withPool({ model });
}

/** Paths of the samples in the chart. */
export function samples(): string[] {
  const folder = join(CHART, 'samples');
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}

/** All samples and switches for the newest Kubernetes with all operators, and the same for the oldest with none. */
export function matrix(files: readonly string[] = []): MatrixCase[] {
  const own = files.map((path) => [path, path] as const);
  const told = samples().map((path) => [path.split('/').slice(-2).join('/'), path] as const);
  const all: readonly (typeof OTHERS)[number][] = own.length > 0 ? own : [...told, ...OTHERS];
  const [oldest, newest] = KUBE_VERSIONS;
  return all.flatMap(([name, values, ...except]) => [
    { name, except, options: { values, kubeVersion: newest, apiVersions: ALL_APIS } },
    {
      name: `${name}, Kubernetes ${oldest}`,
      except,
      options: { values, kubeVersion: oldest, set: ['crdChecks=false'] },
    },
  ]);
}
