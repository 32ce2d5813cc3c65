import { describe, expect, it } from '@jest/globals';
import type { JsonObject } from '../../scripts/chart/kubernetes-object.ts';
import { renderChart, renderError } from '../../scripts/chart/render.ts';

/** Enough for a release that is rendered. */
const GOOD: JsonObject = {
  auth: { existingSecret: 'keys' },
  redis: { url: 'redis://redis:6379' },
  pools: { main: { engine: 'pocketsphinx' } },
};
const GPU = { slotsPerPod: 32 };
const keda = (scaling: JsonObject): JsonObject => ({
  pools: {
    main: {
      ...GPU,
      autoscaling: { enabled: true, prometheusAddress: 'http://p:9090', ...scaling },
    },
  },
});
const pool = (values: JsonObject): JsonObject => ({ pools: { main: values } });

/** What is wrong, the values over the good ones, and what the refusal must say for people to know what to do. */
const BAD: readonly (readonly [what: string, values: JsonObject, ...says: string[]])[] = [
  // What nobody but the chart can know: values that do not go together.
  ['no pool', { pools: null }, 'name at least one', '--set pools.cpu.engine=pocketsphinx'],
  ['no Redis', { redis: { url: '' } }, 'redis.existingSecret.name', 'redis.embedded.enabled'],
  [
    'two sources of Redis',
    { redis: { embedded: { enabled: true } } },
    'name only one of redis.url',
  ],
  [
    'no Secret with keys',
    { auth: { existingSecret: '' } },
    'auth.existingSecret',
    'kubectl create secret',
  ],
  [
    'nobody who could open a session',
    { auth: { apiKeyKey: '', adminKeyKey: '' } },
    'auth.apiKeyKey or auth.adminKeyKey',
  ],
  [
    'one port for both doors of the gateway',
    { gateway: { tls: { existingSecret: 't' }, service: { port: 8443 } } },
    'port and tlsPort are the same',
  ],
  [
    'autoscaling by CPU of which none is requested',
    { gateway: { autoscaling: { enabled: true }, resources: { requests: { cpu: null } } } },
    'set resources.requests.cpu',
  ],
  [
    'a variable that is named twice',
    {
      gateway: {
        extraEnv: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
    },
    'extraEnv names A',
  ],
  [
    'a label of the chart',
    { commonLabels: { 'app.kubernetes.io/name': 'x' } },
    'app.kubernetes.io/name',
  ],
  ['a name that no Secret has', { auth: { existingSecret: 'My_Keys' } }, '/auth/existingSecret'],
  [
    'an image with its tag in its name',
    { images: { gateway: { repository: 'a/b:1' } } },
    'repository',
  ],
  [
    'vLLM without a card',
    pool({ engine: 'vllm', gpu: { count: 0 } }),
    'pools.main',
    'gpu.count or gpu.resourceClaims',
  ],
  [
    'a model in an image that is not named',
    pool({ engine: 'vllm', model: { source: 'image' } }),
    'model.image.reference',
  ],
  [
    'a model on a volume that is not named',
    pool({ engine: 'vllm', model: { source: 'volume' } }),
    'model.volume.existingClaim',
  ],
  [
    'a model on two volumes',
    pool({
      engine: 'vllm',
      model: { source: 'volume', volume: { existingClaim: 'a', hostPath: '/b' } },
    }),
    'set one of model.volume.existingClaim and model.volume.hostPath',
  ],
  [
    'a cache on a claim that is not named',
    pool({ engine: 'vllm', model: { cache: { kind: 'existingClaim' } } }),
    'model.cache.claimName',
  ],
  [
    'a cache on the node without a folder',
    pool({ engine: 'vllm', model: { cache: { kind: 'hostPath' } } }),
    'model.cache.path',
  ],
  [
    'claims by ordinal for a Deployment',
    pool({ engine: 'vllm', kind: 'Deployment', model: { cache: { kind: 'claimTemplate' } } }),
    'is for kind StatefulSet',
  ],
  [
    'autoscaling without slots',
    pool({ autoscaling: { enabled: true, prometheusAddress: 'http://p:9090' } }),
    'slotsPerPod',
    'docs/operations/sizing.md',
  ],
  [
    'autoscaling without Prometheus',
    keda({ prometheusAddress: '' }),
    'autoscaling.prometheusAddress',
  ],
  [
    'bounds in the wrong order',
    keda({ minReplicas: 5, maxReplicas: 4 }),
    'minReplicas (5) is more than maxReplicas (4)',
  ],
  ['an HPA that goes to zero', keda({ kind: 'hpa', minReplicas: 0 }), 'cannot scale to 0'],
  [
    'a rollout that cannot begin',
    pool({ engine: 'pocketsphinx', kind: 'Deployment', rollout: { maxSurge: 0 } }),
    'rollout.maxUnavailable',
  ],
  [
    'both bounds of a budget',
    { gateway: { pdb: { minAvailable: 1 } } },
    'pdb of voice-gateway',
    'one of maxUnavailable and minAvailable',
  ],
  [
    'no bound of a budget',
    { llmTts: { pdb: { maxUnavailable: null } } },
    'pdb of voice-llm-tts',
    'one of maxUnavailable and minAvailable',
  ],
  [
    'a grace shorter than the drain',
    { gateway: { terminationGracePeriodSeconds: 20 } },
    'terminationGracePeriodSeconds is 20',
    'need 60 s',
  ],
  [
    'a grace shorter than that of a worker',
    pool({ engine: 'pocketsphinx', terminationGracePeriodSeconds: 60 }),
    'terminationGracePeriodSeconds is 60',
  ],
  [
    'a gateway scaled between wrong bounds',
    { gateway: { autoscaling: { enabled: true, minReplicas: 11 } } },
    'minReplicas (11) is more than maxReplicas (10)',
  ],
  ['an Ingress without hosts', { ingress: { enabled: true } }, 'ingress.hosts'],
  [
    'a route without hosts',
    { httpRoute: { enabled: true, parentRefs: [{ name: 'a' }] } },
    'httpRoute.hostnames',
  ],
  [
    'a route without a Gateway',
    { httpRoute: { enabled: true, hostnames: ['a'] } },
    'httpRoute.parentRefs',
  ],
  [
    'jobs without a place for recordings',
    { jobs: { enabled: true } },
    'jobs.s3.bucket or jobs.existingClaim',
  ],
  [
    'jobs with two places',
    { jobs: { enabled: true, existingClaim: 'a', s3: { bucket: 'b' } } },
    'only one of jobs.s3.bucket',
  ],
  [
    'traces to nowhere',
    { tracing: { enabled: true } },
    'tracing.endpoint',
    'http://otel-collector',
  ],
  [
    'a setting that the chart sets',
    { gateway: { config: { REDIS_URL: 'x' } } },
    'gateway: config.REDIS_URL is set by the chart',
  ],
  [
    'a setting that is no variable',
    { llmTts: { config: { logLevel: 'x' } } },
    'llmTts: config.logLevel is no variable',
  ],
  [
    'a variable that is set already',
    { gateway: { extraEnv: [{ name: 'REDIS_URL', value: 'x' }] } },
    'extraEnv names REDIS_URL',
  ],
  [
    'an alert that does not exist',
    { monitoring: { rules: { enabled: true, disabled: ['None'] } } },
    'monitoring.rules.disabled names None',
  ],
  // What the schema knows.
  ['a key that does not exist', { gatway: {} }, 'gatway'],
  [
    'a key that does not exist, deep inside',
    { gateway: { pdb: { minAvailible: 1 } } },
    'minAvailible',
    'pdb',
  ],
  ['a key of a pool that does not exist', pool({ engin: 'vllm' }), 'engin', 'main'],
  ['a text for a number', { gateway: { replicas: 'two' } }, 'replicas'],
  ['fewer pods than none', pool({ replicas: -1 }), 'replicas'],
  ['an engine that does not exist', pool({ engine: 'whisper' }), 'engine', 'pocketsphinx'],
  ['a placement that does not exist', { fleet: { placement: 'random' } }, 'placement', 'packing'],
  ['a password in the address of Redis', { redis: { url: 'redis://:secret@redis:6379' } }, 'url'],
  ['the tag latest', { images: { tag: 'latest' } }, 'tag'],
  ['a digest that is none', { images: { gateway: { digest: 'sha256:abc' } } }, 'digest'],
  ['a name of a pool that is no name', { pools: { Main: { engine: 'pocketsphinx' } } }, 'Main'],
  ['a name that is too long', { fullnameOverride: 'a'.repeat(25) }, 'fullnameOverride'],
  ['a share of slots above one', keda({ targetUtilization: 1.5 }), 'targetUtilization'],
  ['a drain of two hours', { gateway: { drainSeconds: 7_200 } }, 'drainSeconds'],
  ['an environment in another form', { gateway: { extraEnv: { A: '1' } } }, 'extraEnv'],
  [
    'a value in the environment that is no text',
    { gateway: { extraEnv: [{ name: 'A', value: 1 }] } },
    'extraEnv',
  ],
  ['a quantity that is none', { gateway: { resources: { limits: { memory: '1 GB' } } } }, 'memory'],
  ['a port that is none', { gateway: { service: { port: 70_000 } } }, 'port'],
  ['a load test without an end', { loadTest: { deadlineSeconds: 0 } }, 'deadlineSeconds'],
];

describe('values that cannot be', () => {
  it('are measured against values that can', () => {
    expect(renderChart({ values: GOOD }).length).toBeGreaterThan(10);
    expect(
      renderChart({ values: { ...GOOD, ...keda({}), crdChecks: false } }).length,
    ).toBeGreaterThan(10);
  });

  it.each(BAD.map(([what, values, ...says]) => [what, { values, says }] as const))(
    '%s are refused with what to do',
    (_what, { values, says }) => {
      const merged = merge(GOOD, { crdChecks: false, ...values });
      const told = renderError({ values: merged });
      for (const part of says) expect(told).toContain(part);
    },
  );

  it.each([
    ['keda.sh', keda({ enabled: true }), 'autoscaling'],
    ['monitoring.coreos.com', { monitoring: { scrape: { enabled: true } } }, 'monitoring.scrape'],
    [
      'gateway.networking.k8s.io',
      { httpRoute: { enabled: true, hostnames: ['a'], parentRefs: [{ name: 'a' }] } },
      'httpRoute.enabled',
    ],
  ] as const)(
    'what a cluster without %s cannot have is refused with the switch for it',
    (group, values, key) => {
      const told = renderError({ values: merge(GOOD, values) });
      expect(told).toContain(group);
      expect(told).toContain(key);
      expect(told).toContain('crdChecks=false');
    },
  );
});

function merge(below: JsonObject, above: JsonObject): JsonObject {
  const merged: Record<string, JsonObject[string]> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = below[key];
    const both = isMap(under) && isMap(value);
    merged[key] = both && key !== 'pools' ? merge(under, value) : value;
  }
  return merged;
}

function isMap(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
