import { describe, expect, it } from '@jest/globals';
import {
  at,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
} from '../../scripts/chart/kubernetes-object.ts';
import { matrix } from '../../scripts/chart/matrix.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { containersOf, podOf } from '../../scripts/chart/rules/rule.ts';

const TRIAL: JsonObject = { auth: { existingSecret: 'keys' }, redis: { url: 'redis://redis' } };
const ALL = renderChart(matrix().find(({ name }) => name === 'everything on')?.options ?? {});

/** The workload of a pool with these settings, and the release around it. */
function pool(values: JsonObject, around: JsonObject = {}) {
  const objects = renderChart({
    values: { ...TRIAL, ...around, crdChecks: false, pools: { card: values } },
  });
  return { objects, workload: named(objects, 'voice-asr-worker-card') };
}

function named(objects: readonly KubernetesObject[], name: string): KubernetesObject {
  const found = objects.find((one) => podOf(one) && one.metadata.name === name);
  if (!found) throw new Error(`there is no workload ${name}`);
  return found;
}

function container(workload: KubernetesObject, name: string): JsonObject {
  const found = containersOf(workload).find((one) => one.name === name);
  if (!found) throw new Error(`there is no container ${name}`);
  return found.container;
}

const env = (of: JsonObject): string[] => listAt(of, 'env').map(({ name }) => String(name));
const volume = (workload: KubernetesObject, name: string): JsonObject | undefined =>
  listAt(podOf(workload)?.spec, 'volumes').find((one) => one['name'] === name);

describe('a pod with a card', () => {
  const { workload } = pool({
    gpu: { product: 'NVIDIA-L40S', count: 2 },
    model: { token: { existingSecret: 'hub' } },
  });
  const { spec = {}, annotations = {} } = podOf(workload) ?? {};
  const vllm = container(workload, 'vllm');

  it('goes to nodes with its product, past their taint, and has whole cards', () => {
    expect(spec['nodeSelector']).toEqual({ 'nvidia.com/gpu.product': 'NVIDIA-L40S' });
    expect(spec['tolerations']).toContainEqual({
      key: 'nvidia.com/gpu',
      operator: 'Exists',
      effect: 'NoSchedule',
    });
    for (const key of ['requests', 'limits'])
      expect(at(vllm, 'resources', key, 'nvidia.com/gpu')).toBe('2');
    // The device plugin says which cards they are.
    for (const one of containersOf(workload))
      expect(env(one.container)).not.toContain('NVIDIA_VISIBLE_DEVICES');
  });

  it('starts vLLM before the worker, and ends it after', () => {
    const init = listAt(spec, 'initContainers');
    expect(init.map(({ name }) => name)).toEqual(['model', 'vllm']);
    expect(vllm['restartPolicy']).toBe('Always');
    expect(listAt(spec, 'containers').map(({ name }) => name)).toEqual(['asr-worker']);
  });

  it('has shared memory that is bounded', () => {
    expect(volume(workload, 'shm')).toEqual({
      name: 'shm',
      emptyDir: { medium: 'Memory', sizeLimit: '2Gi' },
    });
    expect(listAt(vllm, 'volumeMounts')).toContainEqual({ name: 'shm', mountPath: '/dev/shm' });
  });

  it('hands the token of the hub to the download alone, and serves offline', () => {
    expect(env(container(workload, 'model'))).toContain('HF_TOKEN');
    for (const name of ['vllm', 'asr-worker'])
      expect(env(container(workload, name))).not.toContain('HF_TOKEN');
    expect(listAt(vllm, 'env')).toContainEqual({ name: 'HF_HUB_OFFLINE', value: '1' });
  });

  it('has the time that its model takes to load, and more is a setting', () => {
    const seconds = (of: JsonObject): number => {
      const { periodSeconds, failureThreshold } = mapAt(of, 'startupProbe');
      return Number(periodSeconds) * Number(failureThreshold);
    };
    expect(seconds(vllm)).toBe(900);
    const slow = pool({ vllm: { startupSeconds: 1801 } }).workload;
    expect(seconds(container(slow, 'vllm'))).toBeGreaterThanOrEqual(1801);
  });

  it('is left alone by node autoscalers, unless that is switched off', () => {
    const keys = ['cluster-autoscaler.kubernetes.io/safe-to-evict', 'karpenter.sh/do-not-disrupt'];
    expect(keys.map((key) => annotations[key])).toEqual(['false', 'true']);
    const free =
      podOf(pool({ protect: { fromNodeAutoscaler: false } }).workload)?.annotations ?? {};
    expect(keys.map((key) => free[key])).toEqual([undefined, undefined]);
  });

  it.each([
    ['downloads into the pod', {}, { emptyDir: { sizeLimit: '20Gi' } }],
    [
      'downloads into a claim of all',
      { cache: { kind: 'existingClaim', claimName: 'c' } },
      { persistentVolumeClaim: { claimName: 'c' } },
    ],
    [
      'downloads onto the node',
      { cache: { kind: 'hostPath', path: '/mnt/c' } },
      { hostPath: { path: '/mnt/c', type: 'Directory' } },
    ],
    [
      'is on a claim',
      { source: 'volume', volume: { existingClaim: 'm' } },
      { persistentVolumeClaim: { claimName: 'm', readOnly: true } },
    ],
    [
      'is an image',
      { source: 'image', image: { reference: 'm:1' } },
      { image: { reference: 'm:1', pullPolicy: 'IfNotPresent' } },
    ],
  ] as const)('has a model that %s', (_how, model, source) => {
    const { workload: one } = pool({ model });
    expect(volume(one, 'models')).toEqual({ name: 'models', ...source });
    const ready = 'source' in model;
    const written = ready ? [] : [['model', false]];
    // vLLM itself never writes to what other pods may read, too.
    expect(
      containersOf(one).flatMap(({ name: owner, container }) =>
        listAt(container, 'volumeMounts')
          .filter(({ name }) => name === 'models')
          .map((mount) => [owner, mount['readOnly'] ?? false]),
      ),
    ).toEqual([...written, ['vllm', true]]);
  });
});

describe('the end of a pod', () => {
  const grace = (workload: KubernetesObject): unknown =>
    podOf(workload)?.spec['terminationGracePeriodSeconds'];

  it('has the time that pause and drain take, computed from them', () => {
    const around = {
      gateway: { pauseSeconds: 20, drainSeconds: 40 },
      llmTts: { pauseSeconds: 5, drainSeconds: 7 },
    };
    const { objects, workload } = pool({ drainSeconds: 100 }, around);
    expect(grace(workload)).toBe(145);
    expect(grace(named(objects, 'voice-gateway'))).toBe(75);
    expect(grace(named(objects, 'voice-llm-tts'))).toBe(22);
    const longer = pool({ drainSeconds: 100, terminationGracePeriodSeconds: 600 }).workload;
    expect(grace(longer)).toBe(600);
  });

  it('begins with a pause for those that load balancers lead to, and for no worker', () => {
    const { objects, workload } = pool({}, { gateway: { pauseSeconds: 20 } });
    const gateway = container(named(objects, 'voice-gateway'), 'gateway');
    expect(at(gateway, 'lifecycle', 'preStop', 'exec', 'command')).toEqual([
      'node',
      '/app/pause.mjs',
      '20',
    ]);
    expect(container(workload, 'asr-worker')['lifecycle']).toBeUndefined();
    const none = pool({}, { gateway: { pauseSeconds: 0 } }).objects;
    expect(container(named(none, 'voice-gateway'), 'gateway')['lifecycle']).toBeUndefined();
  });
});

describe('what components take beside their own', () => {
  it('is an identity of a cloud for the workers of a pool, and flags for the test', () => {
    const annotations = { 'example.org/role': 'reader' };
    const around = { tests: { args: ['--http', '--strict'] } };
    const { objects } = pool({ serviceAccount: { annotations } }, around);
    const account = objects.find(
      ({ kind, metadata }) =>
        kind === 'ServiceAccount' && metadata.name === 'voice-asr-worker-card',
    );
    expect(at(account, 'metadata', 'annotations')).toEqual(annotations);
    const test = objects.find(({ kind }) => kind === 'Pod');
    const args = ['smoke', '--timeout', '120', '--http', '--strict'];
    expect(at(test, 'spec', 'containers', 0, 'args')).toEqual(args);
  });

  it.each([
    ['voice-gateway', 'gateway'],
    ['voice-llm-tts', 'llm-tts'],
    ['voice-asr-worker-l40s', 'asr-worker'],
  ])('reaches %s', (name, of) => {
    const workload = named(ALL, name);
    const { spec = {}, labels = {}, annotations = {} } = podOf(workload) ?? {};
    expect(labels['team']).toBe('speech');
    expect(annotations['example.org/note']).toBe('text');
    expect(spec['priorityClassName']).toBe('high');
    expect(spec['schedulerName']).toBe('other');
    expect(spec['imagePullSecrets']).toEqual([{ name: 'pull' }]);
    expect(mapAt(spec, 'nodeSelector')['disk']).toBe('fast');
    expect(spec['tolerations']).toContainEqual({ key: 'speech', operator: 'Exists' });
    expect(spec['affinity']).toEqual({ nodeAffinity: {} });
    expect(volume(workload, 'extra')).toBeDefined();
    const main = container(workload, of);
    expect(env(main)).toContain('EXTRA');
    expect(main['envFrom']).toEqual([{ configMapRef: { name: 'extra' } }]);
    expect(listAt(main, 'volumeMounts')).toContainEqual({ name: 'extra', mountPath: '/extra' });
  });

  it('is made of templates in objects of one’s own', () => {
    const values = {
      ...TRIAL,
      pools: { cpu: { engine: 'pocketsphinx' } },
      extraObjects: [
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-a' } },
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ .Release.Name }}-b"}',
      ],
    };
    const names = renderChart({ values }).map(({ metadata }) => metadata.name);
    expect(names).toEqual(expect.arrayContaining(['voice-a', 'voice-b']));
  });
});

describe('the way to gateways', () => {
  const of = (kind: string): KubernetesObject | undefined =>
    ALL.find((one) => one.kind === kind && /gateway$/.test(one.metadata.name));

  it('keeps upgrades and long sessions', () => {
    const ports = listAt(of('Service'), 'spec', 'ports');
    expect(ports.find(({ name }) => name === 'http')?.['appProtocol']).toBe('kubernetes.io/ws');
    const [rule] = listAt(of('HTTPRoute'), 'spec', 'rules');
    expect(at(rule, 'timeouts', 'request')).toBe('0s');
  });

  it('ends TLS where a certificate is named', () => {
    expect(listAt(of('Ingress'), 'spec', 'tls')).toEqual([
      { secretName: 'cert', hosts: ['voice.example.org'] },
    ]);
  });
});

describe('autoscaling of a pool', () => {
  const scaling = {
    enabled: true,
    prometheusAddress: 'http://p:9090',
    minReplicas: 2,
    targetUtilization: 0.7,
  };
  const scaler = (
    objects: readonly KubernetesObject[],
    kind: string,
  ): KubernetesObject | undefined =>
    objects.find((one) => one.kind === kind && one.metadata.name === 'voice-asr-worker-card');

  it('aims at a share of the slots of a pod', () => {
    const threshold = (values: JsonObject): unknown =>
      at(
        scaler(pool({ autoscaling: scaling, ...values }).objects, 'ScaledObject'),
        'spec',
        'triggers',
        0,
        'metadata',
        'threshold',
      );
    expect(threshold({ slotsPerPod: 32 })).toBe('22');
    expect(threshold({ slots: 10 })).toBe('7');
    expect(threshold({ slotsPerPod: 1 })).toBe('1');
    expect(threshold({ slotsPerPod: 32, autoscaling: { ...scaling, targetUtilization: 1 } })).toBe(
      '32',
    );
  });

  it('asks for one number, keeps pods while nobody answers, and is slow to take them away', () => {
    const found = scaler(pool({ slotsPerPod: 32, autoscaling: scaling }).objects, 'ScaledObject');
    expect(at(found, 'spec', 'triggers', 0, 'metadata', 'query')).toMatch(
      /^max\(voice_fleet_demand_slots\{.*pool="card".*\}\)$/,
    );
    expect(at(found, 'spec', 'fallback')).toEqual({
      failureThreshold: 3,
      replicas: 2,
      behavior: 'currentReplicasIfHigher',
    });
    // Nobody would wake a pool without pods.
    const none = { slotsPerPod: 32, autoscaling: { ...scaling, minReplicas: 0 } };
    const asleep = scaler(pool(none).objects, 'ScaledObject');
    expect(at(asleep, 'spec', 'fallback', 'replicas')).toBe(1);
    const down = mapAt(
      found,
      'spec',
      'advanced',
      'horizontalPodAutoscalerConfig',
      'behavior',
      'scaleDown',
    );
    expect(down['stabilizationWindowSeconds']).toBe(600);
    expect(down['policies']).toEqual([{ type: 'Pods', value: 1, periodSeconds: 120 }]);
    expect(at(found, 'metadata', 'annotations')).toBeUndefined();
    const frozen = pool({
      slotsPerPod: 32,
      autoscaling: { ...scaling, pausedScaleIn: true },
    }).objects;
    expect(at(scaler(frozen, 'ScaledObject'), 'metadata', 'annotations')).toEqual({
      'autoscaling.keda.sh/paused-scale-in': 'true',
    });
  });

  it('can be an HPA of the same demand', () => {
    const found = scaler(
      pool({ slotsPerPod: 32, autoscaling: { ...scaling, kind: 'hpa' } }).objects,
      'HorizontalPodAutoscaler',
    );
    expect(at(found, 'spec', 'metrics', 0, 'external', 'metric', 'name')).toBe(
      'voice_fleet_demand_slots',
    );
    expect(at(found, 'spec', 'metrics', 0, 'external', 'target')).toEqual({
      type: 'AverageValue',
      averageValue: '22',
    });
  });
});
