import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Cluster } from '../support/kubelet/cluster.ts';
import { deployment, scriptImages, server } from '../support/kubelet/script-containers.ts';

let folder: string;
let notes: string;
let cluster: Cluster;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kubelet-spec-'));
  notes = join(folder, 'notes');
  writeFileSync(notes, '');
  cluster = new Cluster({ images: scriptImages(notes), appFolder: folder, endpointLagMs: 0 });
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const noted = (): string[] => readFileSync(notes, 'utf8').trim().split('\n');

describe('a Deployment', () => {
  const template = (revision: string): object => ({
    metadata: { labels: { app: 'web' }, annotations: { revision } },
    spec: { containers: [server()] },
  });
  const spec = {
    replicas: 2,
    strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  };

  it('is rolled without ever having fewer pods ready than it should, or more than one too many', async () => {
    await cluster.apply([deployment(spec, template('1'))]);
    await cluster.settled();
    const before = cluster.pods.map(({ name }) => name);
    const seen: { ready: number; active: number }[] = [];
    const watch = cluster.until(() => {
      const active = cluster.pods.filter(({ terminating }) => !terminating);
      seen.push({ ready: active.filter((each) => each.ready).length, active: active.length });
      return false;
    });
    void watch;
    await cluster.apply([deployment(spec, template('2'))]);
    await cluster.until(() =>
      cluster.pods.some(({ annotations }) => annotations['revision'] === '2'),
    );
    await cluster.settled();
    expect(cluster.pods.map(({ name }) => name)).not.toEqual(expect.arrayContaining(before));
    expect(Math.min(...seen.map(({ ready }) => ready))).toBe(2);
    expect(Math.max(...seen.map(({ active }) => active))).toBe(3);
  });

  it('gives up the pods that cost least when it shrinks', async () => {
    await cluster.apply([deployment({ ...spec, replicas: 3 }, template('1'))]);
    await cluster.settled();
    const [first, second, third] = cluster.pods.map(({ name }) => name) as [string, string, string];
    const cost = 'controller.kubernetes.io/pod-deletion-cost';
    cluster.annotate(first, { [cost]: '4' });
    cluster.annotate(third, { [cost]: '8' });
    cluster.scale('web', 1);
    await cluster.settled();
    expect(cluster.pods.map(({ name }) => name)).toEqual([third]);
    expect(cluster.exits.map((exit) => exit.pod).sort()).toEqual([first, second].sort());
  });
});

describe('a StatefulSet', () => {
  const ORDINAL = {
    name: 'ORDINAL',
    valueFrom: { fieldRef: { fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } },
  };
  const set = (policy: string, revision = '1', replicas = 3): object => ({
    kind: 'StatefulSet',
    metadata: { name: 'db' },
    spec: {
      replicas,
      podManagementPolicy: policy,
      volumeClaimTemplates: [{ metadata: { name: 'data' } }],
      template: {
        metadata: { labels: { app: 'db' }, annotations: { revision } },
        spec: {
          containers: [
            server([ORDINAL, { name: 'DATA', value: '/data' }], {
              volumeMounts: [{ name: 'data', mountPath: '/data' }],
            }),
          ],
        },
      },
    },
  });

  it('makes its pods one after the other, and removes the highest first', async () => {
    await cluster.apply([set('OrderedReady')]);
    await cluster.settled();
    expect(noted()).toEqual(['db-0 runs', 'db-1 runs', 'db-2 runs']);
    cluster.scale('db', 1);
    await cluster.settled();
    expect(noted().slice(3)).toEqual([
      'db-2 told to stop',
      'db-2 ends',
      'db-1 told to stop',
      'db-1 ends',
    ]);
  });

  it('makes and removes them at once where they need no order, and rolls them from the highest down', async () => {
    await cluster.apply([set('Parallel')]);
    await cluster.settled();
    await cluster.apply([set('Parallel', '2')]);
    await cluster.until(() =>
      cluster.pods.every(({ annotations }) => annotations['revision'] === '2'),
    );
    await cluster.settled();
    expect(noted().slice(3)).toEqual(
      [2, 1, 0].flatMap((ordinal) => [
        `db-${ordinal} told to stop`,
        `db-${ordinal} ends`,
        `db-${ordinal} runs`,
      ]),
    );
    cluster.scale('db', 1);
    await cluster.until(() => cluster.pods.length === 1);
    expect(
      noted()
        .slice(12)
        .filter((line) => line.endsWith('stop'))
        .sort(),
    ).toEqual(['db-1 told to stop', 'db-2 told to stop']);
    expect(cluster.pods[0]?.labels).toMatchObject({
      'apps.kubernetes.io/pod-index': '0',
      'statefulset.kubernetes.io/pod-name': 'db-0',
    });
  });
});
