import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { run } from '@voice-fleet/client/cli/run';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { parse } from 'yaml';
import { CHART, HELM_MAJORS } from '../../scripts/chart/helm.ts';
import {
  at,
  type Json,
  type KubernetesObject,
  listAt,
  mapAt,
} from '../../scripts/chart/kubernetes-object.ts';
import { renderChart, renderNotes } from '../../scripts/chart/render.ts';
import { firstCluster, flagsOf } from './first-cluster.fixture.ts';

const ROOT = join(CHART, '../..');
const { commands, build, test, images, secret, rest, ...install } = firstCluster();
const { release, values, set } = install;
const options = { release, values, set, namespace: 'default' };

function everything(value: Json | undefined, key: string): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  const own = Array.isArray(value) ? [] : [at(value, key)].filter((one) => one !== undefined);
  return [...own, ...Object.values(value).flatMap((one) => everything(one, key))];
}

const named = (objects: readonly KubernetesObject[], kind: string, name: string) =>
  objects.find((one) => one.kind === kind && one.metadata.name === name);

describe('the five commands of docs/operations/first-cluster.md', () => {
  it('are five', () => {
    expect(commands.map((command) => command.replace(/^\w+=\S+ /, '').split(' ')[0])).toEqual([
      'docker',
      'kind',
      'kubectl',
      'helm',
      'helm',
    ]);
  });

  it('build each image that they give to the cluster', () => {
    const [file = ''] = flagsOf(build, '-f');
    const text = readFileSync(join(ROOT, file), 'utf8');
    const services = mapAt(parse(text, { merge: true }) as Json, 'services');
    const profiles = flagsOf(build, '--profile');
    const built = Object.values(services)
      .filter((service) => {
        const asked = (at(service, 'profiles') ?? []) as readonly string[];
        return asked.length === 0 || asked.some((profile) => profiles.includes(profile));
      })
      .filter((service) => at(service, 'build') !== undefined)
      .map((service) => at(service, 'image'));
    expect([...new Set(built)].sort()).toEqual([...images].sort());
    // Compose reads no file whose variables are missing, whatever is asked of it.
    for (const [, variable] of text.matchAll(/\$\{(\w+):?\?/g))
      expect(build).toMatch(new RegExp(`^(\\w+=\\S+ )*${variable}=`));
  });

  it.each(HELM_MAJORS)('bring up, by helm %s, pods of these images alone, and Redis', (helm) => {
    const used = renderChart({ ...options, helm }).flatMap((one) => everything(one, 'image'));
    const redis = used.filter((image) => /^redis:/.test(String(image)));
    expect(new Set(used)).toEqual(new Set([...images, ...redis]));
    expect(redis).toHaveLength(1);
  });

  it('make the Secret that pods read, with all keys of it', () => {
    const asked = renderChart(options).flatMap((one) => everything(one, 'secretKeyRef'));
    const wanted = new Set(asked.map((one) => `${at(one, 'name')}/${at(one, 'key')}`));
    const made = secret.keys.map((key) => `${secret.name}/${key}`);
    expect(secret.command).toEqual(['kubectl', 'create', 'secret', 'generic']);
    expect(wanted).toEqual(new Set(made));
  });

  it('need no card, no CRD and no other release', () => {
    const objects = renderChart({ ...options, kubeVersion: '1.29' });
    const cards = everything(objects, 'limits').flatMap((limits) => Object.keys(mapAt(limits)));
    expect(cards.filter((name) => name.includes('gpu'))).toEqual([]);
    const groups = new Set(objects.map(({ apiVersion }) => apiVersion.split('/')[0]));
    expect([...groups].sort()).toEqual(['apps', 'networking.k8s.io', 'policy', 'v1']);
  });

  it('end in a pod that speaks, whose log helm finds when it has passed', async () => {
    const pod = renderChart(options).find(
      (one) => at(one, 'metadata', 'annotations', 'helm.sh/hook') === 'test',
    );
    // Helm 3 deletes what hook-succeeded names before it reads the log.
    expect(at(pod, 'metadata', 'annotations', 'helm.sh/hook-delete-policy')).toBe(
      'before-hook-creation',
    );
    const [container] = listAt(pod, 'spec', 'containers');
    const args = at(container, 'args') as readonly string[];
    const told: string[] = [];
    const { signal } = new AbortController();
    const code = await run(args, {
      stdout: () => undefined,
      stderr: (text) => void told.push(text),
      isTty: false,
      // No address to speak to: all that goes wrong is what the test has not given.
      env: { VOXTRAL_SERVER: 'ftp://nowhere' },
      clock: new FakeClock(),
      signal,
    });
    expect([code, told.join('')]).toEqual([2, expect.stringContaining('ftp://nowhere')]);
    expect(test).toBe(`helm test ${options.release} --logs`);
  });

  it('are what the workflow on kind runs, in their order', () => {
    const workflow = parse(
      readFileSync(join(ROOT, '.github/workflows/chart.yaml'), 'utf8'),
    ) as Json;
    const run = listAt(workflow, 'jobs', 'kind', 'steps').map((step) => at(step, 'run'));
    const from = run.indexOf(build);
    expect(run.slice(from, from + commands.length)).toEqual(commands);
  });

  it('are followed by commands for the same release and Secret', () => {
    const service = named(renderChart(options), 'Service', 'voice-gateway');
    expect(rest).toContain('port-forward service/voice-gateway 8000:8000');
    expect(listAt(service, 'spec', 'ports').map(({ port }) => port)).toContain(8_000);
    const [, template = ''] = /get secret (voice-keys -o go-template=.*?)\)/.exec(rest) ?? [];
    expect(template).not.toBe('');
    expect(renderNotes(options)).toContain(template);
  });
});
