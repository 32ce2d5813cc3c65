import { describe, expect, it } from '@jest/globals';
import {
  at,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
  nameOf,
} from '../../scripts/chart/kubernetes-object.ts';
import { matrix } from '../../scripts/chart/matrix.ts';
import { type RenderOptions, renderChart } from '../../scripts/chart/render.ts';
import { podOf, selects } from '../../scripts/chart/rules/rule.ts';

const GOOD: JsonObject = {
  auth: { existingSecret: 'keys' },
  redis: { embedded: { enabled: true } },
  pools: { main: { engine: 'pocketsphinx' } },
};
const everything = (matrix().find(({ name }) => name === 'everything on')?.options ??
  {}) as RenderOptions;

const find = (
  objects: readonly KubernetesObject[],
  kind: string,
  name: string,
): KubernetesObject => {
  const found = objects.find((one) => one.kind === kind && one.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name} in ${objects.map(nameOf).join(', ')}`);
  return found;
};

describe('two releases in one namespace', () => {
  const [first, second] = ['one', 'two'].map((release) => renderChart({ ...everything, release }));
  if (!first || !second) throw new Error('nothing was rendered');

  it('share no name of an object', () => {
    const names = new Set(first.map(nameOf));
    expect(names.size).toBeGreaterThan(30);
    expect(second.map(nameOf).filter((name) => names.has(name))).toEqual([]);
  });

  it('share no name even where theirs are long and differ in their ends alone', () => {
    const long = 'voice-fleet-of-the-whole-company-in-region';
    const [a, b] = ['a', 'b'].map((end) =>
      renderChart({ ...everything, release: `${long}-${end}` }),
    );
    const names = new Set(a?.map(nameOf));
    expect(b?.map(nameOf).filter((name) => names.has(name))).toEqual([]);
    for (const { metadata } of [...(a ?? []), ...(b ?? [])]) {
      expect(metadata.name.length).toBeLessThanOrEqual(63);
    }
  });

  it('select no pod of each other', () => {
    for (const object of first) {
      for (const selector of selectorsOf(object)) {
        const crossed = second.filter((other) => {
          const pod = podOf(other);
          return pod !== undefined && selects(selector, pod.labels);
        });
        expect([nameOf(object), crossed.map(nameOf)]).toEqual([nameOf(object), []]);
      }
    }
  });

  it('have fleets of their own in Redis, unless they are to share one', () => {
    const fleets = (objects: readonly KubernetesObject[]) =>
      new Set(variables(objects, 'FLEET_NAME'));
    expect([...fleets(first)]).toHaveLength(1);
    expect(fleets(first)).not.toEqual(fleets(second));
    const shared = renderChart({ values: { ...GOOD, fleet: { name: 'shared' } } });
    expect([...fleets(shared)]).toEqual(['shared']);
  });
});

describe('the number of pods', () => {
  it('is left to the autoscaler of a pool, of gateways and of llm-tts', () => {
    const objects = renderChart(everything);
    for (const kind of ['HorizontalPodAutoscaler', 'ScaledObject']) {
      const scalers = objects.filter((one) => one.kind === kind);
      expect(scalers.length).toBeGreaterThan(1);
      for (const scaler of scalers) {
        const { kind: of, name } = mapAt(scaler, 'spec', 'scaleTargetRef');
        const target = find(objects, String(of), String(name));
        expect([nameOf(target), at(target, 'spec', 'replicas')]).toEqual([
          nameOf(target),
          undefined,
        ]);
      }
    }
    expect(at(find(objects, 'StatefulSet', 'voice-asr-worker-small'), 'spec', 'replicas')).toBe(3);
  });

  it('is none where none is asked for, and so are other zeros', () => {
    const values = {
      ...GOOD,
      gateway: { replicas: 0, pauseSeconds: 0, drainSeconds: 0, pdb: { maxUnavailable: 0 } },
      llmTts: { replicas: 0 },
      loadTest: { enabled: true, ttlSeconds: 0 },
      pools: {
        none: { engine: 'pocketsphinx', replicas: 0, weight: 0 },
        card: {
          kind: 'Deployment',
          slotsPerPod: 8,
          rollout: { maxSurge: 0, maxUnavailable: 1 },
          autoscaling: { enabled: true, prometheusAddress: 'http://p:9090', minReplicas: 0 },
        },
      },
      crdChecks: false,
    };
    const objects = renderChart({ values });
    expect(at(find(objects, 'Deployment', 'voice-gateway'), 'spec', 'replicas')).toBe(0);
    expect(at(find(objects, 'Deployment', 'voice-llm-tts'), 'spec', 'replicas')).toBe(0);
    expect(at(find(objects, 'StatefulSet', 'voice-asr-worker-none'), 'spec', 'replicas')).toBe(0);
    const budget = find(objects, 'PodDisruptionBudget', 'voice-gateway');
    expect(at(budget, 'spec', 'maxUnavailable')).toBe(0);
    const card = find(objects, 'Deployment', 'voice-asr-worker-card');
    expect(at(card, 'spec', 'strategy', 'rollingUpdate', 'maxSurge')).toBe(0);
    const scaler = find(objects, 'ScaledObject', 'voice-asr-worker-card');
    expect(at(scaler, 'spec', 'minReplicaCount')).toBe(0);
    const job = objects.find(({ kind }) => kind === 'Job');
    expect(at(job, 'spec', 'ttlSecondsAfterFinished')).toBe(0);
    expect(variables(objects, 'FLEET_POOL_WEIGHTS')).toContain('{"none":0}');
  });
});

describe('an upgrade', () => {
  const before = renderChart(everything);
  const after = renderChart({ ...everything, upgrade: true });

  it('changes nothing where no value has changed', () => {
    expect(after).toEqual(before);
  });

  it('touches the pods of a pool alone whose settings have changed', () => {
    const set = ['pools.l40s.vllm.maxModelLen=2048'];
    const changed = renderChart({ ...everything, set });
    const pods = (objects: readonly KubernetesObject[]) =>
      new Map(objects.filter((one) => podOf(one)).map((one) => [nameOf(one), at(one, 'spec')]));
    const old = pods(before);
    const different = [...pods(changed)].filter(
      ([name, spec]) => JSON.stringify(spec) !== JSON.stringify(old.get(name)),
    );
    expect(different.map(([name]) => name)).toEqual(['StatefulSet/voice-asr-worker-l40s']);
  });

  it('to another version leaves selectors and claims as they are', () => {
    const selectors = (objects: readonly KubernetesObject[]) =>
      objects
        .filter((one) => podOf(one) && one.kind !== 'Pod')
        .map((one) => [
          nameOf(one),
          at(one, 'spec', 'selector') ?? null,
          at(one, 'spec', 'serviceName') ?? null,
          at(one, 'spec', 'volumeClaimTemplates') ?? null,
        ]);
    const set = ['images.tag=9.9.9', 'commonLabels.owner=others', 'logging.level=debug'];
    expect(selectors(renderChart({ ...everything, set }))).toEqual(selectors(before));
  });
});

/** Every selector of pods that an object has. */
function selectorsOf(object: KubernetesObject): JsonObject[] {
  const pod = podOf(object);
  const spread = pod ? listAt(pod.spec, 'topologySpreadConstraints') : [];
  const spec = mapAt(object, 'spec');
  const own: JsonObject[] =
    object.kind === 'Service'
      ? [{ matchLabels: mapAt(spec, 'selector') }]
      : [mapAt(spec, 'selector'), mapAt(spec, 'podSelector')];
  const peers = ['ingress', 'egress'].flatMap((direction) =>
    listAt(spec, direction).flatMap((rule) =>
      [...listAt(rule, 'from'), ...listAt(rule, 'to')]
        // Of other namespaces are others' pods.
        .filter((peer) => !('namespaceSelector' in peer))
        .map((peer) => mapAt(peer, 'podSelector')),
    ),
  );
  return [...own, ...peers, ...spread.map((one) => mapAt(one, 'labelSelector'))].filter(
    (selector) => Object.keys(selector).length > 0,
  );
}

/** The values that containers get for a variable. */
function variables(objects: readonly KubernetesObject[], name: string): string[] {
  return objects
    .flatMap((object) => {
      const pod = podOf(object);
      return pod ? [...listAt(pod.spec, 'containers'), ...listAt(pod.spec, 'initContainers')] : [];
    })
    .flatMap((container) => listAt(container, 'env'))
    .filter((one) => one['name'] === name)
    .map(({ value }) => String(value));
}
