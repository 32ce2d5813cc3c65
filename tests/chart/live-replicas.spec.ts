import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { env } from 'node:process';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { CHART } from '../../scripts/chart/helm.ts';
import { at, type KubernetesObject } from '../../scripts/chart/kubernetes-object.ts';
import { readObjects, renderChart } from '../../scripts/chart/render.ts';
import { fakeApiServer } from './fake-api-server.fixture.ts';

const VALUES = join(CHART, 'samples/laptop.yaml');
const AUTOSCALED = [
  'pools.cpu.slots=4',
  'pools.cpu.autoscaling.enabled=true',
  'pools.cpu.autoscaling.kind=hpa',
  'gateway.autoscaling.enabled=true',
];

/** Renders as an upgrade does, with a look at what there is. */
async function upgrade(live: readonly KubernetesObject[]): Promise<KubernetesObject[]> {
  const kinds = renderChart({ values: VALUES, set: AUTOSCALED });
  await using server = await fakeApiServer(kinds, live);
  const set = AUTOSCALED.flatMap((value) => ['--set', value]);
  const { stdout } = await promisify(execFile)(
    env['VF_HELM4'] ?? 'helm',
    [
      ...['template', 'voice', CHART, '--values', VALUES, ...set, '--namespace', 'speech'],
      ...['--is-upgrade', '--dry-run=server', '--disable-openapi-validation'],
      ...['--kube-apiserver', server.url],
    ],
    { maxBuffer: 2 ** 26 },
  );
  return readObjects(stdout);
}

function workload(kind: string, name: string, replicas: number, told: boolean): KubernetesObject {
  const annotations = told ? { 'voice-fleet/replicas': 'chart' } : {};
  const metadata = { name, namespace: 'speech', annotations };
  return { apiVersion: 'apps/v1', kind, metadata, spec: { replicas } };
}

function replicasOf(objects: readonly KubernetesObject[], name: string): unknown {
  const found = objects.find(
    ({ kind, metadata }) => /^(Deployment|StatefulSet)$/.test(kind) && metadata.name === name,
  );
  expect(found).toBeDefined();
  return at(found, 'spec', 'replicas');
}

describe('an upgrade that leaves the number of pods to an autoscaler', () => {
  it('keeps the number there is, where the chart had told one: left out, it would become 1', async () => {
    const objects = await upgrade([
      workload('StatefulSet', 'voice-asr-worker-cpu', 7, true),
      workload('Deployment', 'voice-gateway', 3, true),
    ]);
    expect(replicasOf(objects, 'voice-asr-worker-cpu')).toBe(7);
    expect(replicasOf(objects, 'voice-gateway')).toBe(3);
  });

  it('says nothing where the chart never did', async () => {
    const objects = await upgrade([workload('StatefulSet', 'voice-asr-worker-cpu', 7, false)]);
    expect(replicasOf(objects, 'voice-asr-worker-cpu')).toBeUndefined();
    expect(replicasOf(objects, 'voice-gateway')).toBeUndefined();
  });

  it('says nothing where there is no cluster to look at', () => {
    const objects = renderChart({ values: VALUES, set: AUTOSCALED, upgrade: true });
    expect(replicasOf(objects, 'voice-asr-worker-cpu')).toBeUndefined();
  });
});
