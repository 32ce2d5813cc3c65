import { describe, expect, it } from '@jest/globals';
import { sizePage, withSizes } from '../../scripts/chart/docs/size-page.ts';
import { samples, sizeTables } from '../../scripts/chart/docs/size-tables.ts';
import { HELM_MAJORS } from '../../scripts/chart/helm.ts';
import { bytes, quantity } from '../../scripts/chart/quantity.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { podSize, workloadSizes } from '../../scripts/chart/sizes.ts';

const resources = (cpu: string, memory: string, more = {}) => ({
  resources: { requests: { cpu, memory }, limits: { memory, ...more } },
});

describe('what a pod takes', () => {
  it('is what its containers and sidecars ask for together', () => {
    const pod = {
      initContainers: [
        { restartPolicy: 'Always', ...resources('4', '16Gi', { 'nvidia.com/gpu': '1' }) },
      ],
      containers: [resources('500m', '512Mi'), resources('1', '1Gi')],
    };
    expect(podSize(pod)).toEqual({
      cpu: 5.5,
      memory: quantity('17.5Gi'),
      memoryLimit: quantity('17.5Gi'),
      cards: 1,
    });
  });

  it('is what a step before them asks for where that is more, beside the sidecars that are up by then', () => {
    const pod = {
      initContainers: [
        resources('100m', '1Gi'),
        { restartPolicy: 'Always', ...resources('1', '2Gi') },
        resources('2', '8Gi'),
      ],
      containers: [resources('1', '1Gi')],
    };
    expect(podSize(pod)).toMatchObject({ cpu: 3, memory: quantity('10Gi'), cards: 0 });
  });
});

describe('a quantity', () => {
  it('is read as Kubernetes reads it, and refused where it is none', () => {
    expect(['500m', '4', '1.5', '2Gi', '1M'].map(quantity)).toEqual([0.5, 4, 1.5, 2 ** 31, 1e6]);
    expect(() => quantity('4GB')).toThrow('"4GB" is no quantity');
    expect([bytes(2 ** 29), bytes(3 * 2 ** 29)]).toEqual(['512 MiB', '1.5 GiB']);
  });
});

describe('the tables of sizes in docs/operations/sizing.md', () => {
  it.each(HELM_MAJORS)('are those of the chart as helm %s renders it', (helm) => {
    expect(sizePage()).toContain(sizeTables(helm));
    expect(withSizes(sizePage())).toBe(sizePage());
  });

  it('have every sample, with the pods of each of its workloads', () => {
    expect(samples()).toHaveLength(5);
    for (const sample of samples()) expect(sizePage()).toContain(`**${sample}.yaml**`);
  });

  it('tell between which numbers autoscalers keep pods, of both kinds', () => {
    const scaled = { autoscaling: { enabled: true, minReplicas: 2, maxReplicas: 7 } };
    const sizes = workloadSizes(
      renderChart({
        values: {
          auth: { existingSecret: 'keys' },
          redis: { url: 'redis://redis' },
          gateway: { autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 5 } },
          pools: {
            kept: { engine: 'pocketsphinx', replicas: 0 },
            plain: {
              engine: 'pocketsphinx',
              slots: 4,
              autoscaling: { ...scaled.autoscaling, kind: 'hpa' },
            },
            keda: {
              slots: 4,
              autoscaling: { ...scaled.autoscaling, prometheusAddress: 'http://p' },
            },
          },
        },
        set: ['crdChecks=false'],
      }),
    );
    const pods = sizes.map(({ name, least, most, cards }) => [name, least, most, cards]);
    expect(pods).toEqual([
      ['voice-asr-worker-keda', 2, 7, 1],
      ['voice-asr-worker-kept', 0, 0, 0],
      ['voice-asr-worker-plain', 2, 7, 0],
      ['voice-gateway', 3, 5, 0],
      ['voice-llm-tts', 2, 2, 0],
    ]);
  });
});
