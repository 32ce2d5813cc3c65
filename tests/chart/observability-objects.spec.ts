import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CHART } from '../../scripts/chart/helm.ts';
import {
  at,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
} from '../../scripts/chart/kubernetes-object.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { DASHBOARDS } from '../../scripts/observability/dashboards.ts';

/** What Kubernetes takes in all of a ConfigMap, and in all annotations of an object. */
const MOST_BYTES = { data: 2 ** 20, annotations: 256 * 2 ** 10 };

const MONITORED: JsonObject = {
  monitoring: {
    scrape: { enabled: true, labels: { release: 'prometheus' } },
    rules: { enabled: true, labels: { release: 'prometheus' } },
    dashboards: { enabled: true },
  },
  gateway: { autoscaling: { enabled: true } },
  llmTts: { autoscaling: { enabled: true } },
  loadTest: { enabled: true },
};
const objects = renderChart({
  values: [join(CHART, 'samples/two-pools.yaml'), MONITORED],
  apiVersions: ['monitoring.coreos.com/v1', 'keda.sh/v1alpha1', 'gateway.networking.k8s.io/v1'],
});
const ofKind = (...kinds: string[]): KubernetesObject[] =>
  objects.filter(({ kind }) => kinds.includes(kind));

/** Pod templates of all that runs, with their labels. */
const templates = objects.flatMap((object) => {
  const template = mapAt(object, 'spec', 'template');
  return Object.keys(template).length > 0 ? [template] : [];
});

describe('PodMonitors of the chart', () => {
  const monitors = ofKind('PodMonitor');

  it('are found by the operator, and find each service', () => {
    const components = monitors.map((monitor) => {
      expect(at(monitor, 'metadata', 'labels', 'release')).toBe('prometheus');
      expect(at(monitor, 'spec', 'jobLabel')).toBe('app.kubernetes.io/component');
      return at(monitor, 'spec', 'selector', 'matchLabels', 'app.kubernetes.io/component');
    });
    expect(components.sort()).toEqual(['asr-worker', 'gateway', 'llm-tts', 'loadtest']);
  });

  it('name ports that pods have, those of vLLM among them, which is a sidecar', () => {
    for (const monitor of monitors) {
      const wanted = Object.entries(mapAt(monitor, 'spec', 'selector', 'matchLabels'));
      const pods = templates.filter((template) =>
        wanted.every(([key, value]) => at(template, 'metadata', 'labels', key) === value),
      );
      expect([monitor.metadata.name, pods.length > 0]).toEqual([monitor.metadata.name, true]);
      for (const pod of pods) {
        // Prometheus looks for ports at containers and at init containers alike.
        const ports = ['containers', 'initContainers'].flatMap((key) =>
          listAt(pod, 'spec', key).flatMap((container) =>
            listAt(container, 'ports').map(({ name }) => name),
          ),
        );
        for (const { port } of listAt(monitor, 'spec', 'podMetricsEndpoints'))
          expect([monitor.metadata.name, ports.filter((name) => name === port)]).toEqual([
            monitor.metadata.name,
            [port],
          ]);
      }
    }
  });

  it('say of each series whose fleet it is, and of those of vLLM which pool', () => {
    const endpoints = monitors.flatMap((monitor) => listAt(monitor, 'spec', 'podMetricsEndpoints'));
    for (const endpoint of endpoints)
      expect(listAt(endpoint, 'relabelings')).toContainEqual({
        targetLabel: 'fleet',
        replacement: 'speech.voice',
      });
    const vllm = endpoints.filter(({ port }) => port === 'vllm');
    expect(vllm).toHaveLength(1);
    expect(listAt(vllm[0], 'relabelings')).toEqual(
      expect.arrayContaining([
        { targetLabel: 'job', replacement: 'vllm' },
        { sourceLabels: ['__meta_kubernetes_pod_label_voice_fleet_pool'], targetLabel: 'pool' },
      ]),
    );
  });
});

describe('names in rules and dashboards', () => {
  const rules = ofKind('PrometheusRule').flatMap((rule) =>
    listAt(rule, 'spec', 'groups').flatMap((group) => listAt(group, 'rules')),
  );
  const panels = JSON.stringify(DASHBOARDS);

  /** Patterns of a label in all queries. */
  function patterns(label: string): RegExp[] {
    const text = `${rules.map(({ expr }) => String(expr)).join('\n')}\n${panels.replaceAll('\\"', '"')}`;
    const found = [...text.matchAll(new RegExp(`[{,]${label}=~"([^"]+)"`, 'g'))];
    return [...new Set(found.map(([, pattern = '']) => pattern))].map(
      (pattern) => new RegExp(`^(?:${pattern})$`),
    );
  }

  it.each([
    ['horizontalpodautoscaler', 'HorizontalPodAutoscaler'],
    ['scaledObject', 'ScaledObject'],
    ['statefulset', 'StatefulSet'],
    ['deployment', 'Deployment'],
    ['job_name', 'Job'],
  ] as const)('of %s are those of objects', (label, kind) => {
    const found = ofKind(kind);
    expect(found.length).toBeGreaterThan(0);
    const keda = ofKind('ScaledObject').map((object) =>
      String(at(object, 'spec', 'advanced', 'horizontalPodAutoscalerConfig', 'name')),
    );
    const names = found.map(({ metadata }) => metadata.name);
    if (label === 'horizontalpodautoscaler') names.push(...keda);
    const all = patterns(label);
    expect(all.length).toBeGreaterThan(0);
    for (const pattern of all)
      for (const name of names)
        expect([pattern.source, name, pattern.test(name)]).toEqual([pattern.source, name, true]);
  });

  it('of pods are those that workloads make', () => {
    const pods = ofKind('Deployment', 'StatefulSet').map(({ metadata }) => `${metadata.name}-0`);
    const expr = rules.find(({ alert }) => alert === 'VoicePodTerminating')?.['expr'];
    const [, pattern = ''] = /[{,]pod=~"([^"]+)"/.exec(String(expr)) ?? [];
    expect(pods.length).toBeGreaterThan(3);
    for (const pod of pods)
      expect([pod, new RegExp(`^${pattern}$`).test(pod)]).toEqual([pod, true]);
  });
});

describe('dashboards of the chart', () => {
  const maps = ofKind('ConfigMap').filter(
    (object) => at(object, 'metadata', 'labels', 'grafana_dashboard') === '1',
  );

  it('are all there, in the folder that is set, and are what Grafana reads', () => {
    const texts = maps.flatMap((object) => Object.entries(mapAt(object, 'data')));
    expect(texts.map(([name]) => name).sort()).toEqual(
      DASHBOARDS.map(({ uid }) => `${uid}.json`).sort(),
    );
    for (const [name, text] of texts)
      expect(`${(JSON.parse(String(text)) as { uid: string }).uid}.json`).toBe(name);
    for (const object of maps)
      expect(at(object, 'metadata', 'annotations', 'grafana_folder')).toBe('Voice');
  });

  it('are no larger than Kubernetes takes, by far', () => {
    for (const object of [...maps, ...ofKind('PrometheusRule')]) {
      const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value ?? {}));
      expect([object.metadata.name, bytes(object) < MOST_BYTES.data / 2]).toEqual([
        object.metadata.name,
        true,
      ]);
      expect(bytes(object.metadata['annotations'])).toBeLessThan(MOST_BYTES.annotations / 2);
    }
  });
});
