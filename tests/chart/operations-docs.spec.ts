import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { capacitySettings } from '@voice-fleet/asr-worker/capacity/capacity-settings';
import { DEGRADE_LEVELS, PERMISSIONS } from '@voice-fleet/asr-worker/capacity/degrade-ladder';
import { kvPoolGib, safeSessions } from '@voice-fleet/asr-worker/gpu/kv-cost';
import type { Gpu } from '@voice-fleet/asr-worker/gpu/probe';
import type { NotReady } from '@voice-fleet/gateway/http/fleet-health';
import { LinkRefusal } from '@voice-fleet/protocol/link';
import { parse } from 'yaml';
import { samples } from '../../scripts/chart/docs/size-tables.ts';
import { readValues, type ValueNode } from '../../scripts/chart/docs/values-file.ts';
import { CHART } from '../../scripts/chart/helm.ts';
import { at, isObject, type Json, type JsonObject } from '../../scripts/chart/kubernetes-object.ts';
import { renderChart } from '../../scripts/chart/render.ts';

const ROOT = join(CHART, '../..');
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const operations = (name: string): string => text(`docs/operations/${name}.md`);
const PAGES = ['install', 'sizing', 'keys', 'restore', 'troubleshoot', 'first-cluster'];

/** Code on one line of a page. */
const coded = (page: string): string[] =>
  [...page.replaceAll(/^```.*?^```/gms, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);

function secretRefs(value: Json | undefined): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  const own = Array.isArray(value) ? undefined : at(value, 'secretKeyRef');
  return [...(own === undefined ? [] : [own]), ...Object.values(value).flatMap(secretRefs)];
}

describe('docs/operations/install.md', () => {
  const rows = operations('install')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const sample = (name: string) =>
    renderChart({ values: join(CHART, `samples/${name}.yaml`), set: ['crdChecks=false'] });

  it('names every Secret of the samples with its keys', () => {
    const asked = samples().flatMap((name) => secretRefs(sample(name)));
    const pairs = [...new Set(asked.map((ref) => `${at(ref, 'name')} ${at(ref, 'key')}`))];
    expect(pairs.length).toBeGreaterThan(6);
    let secret = '';
    const told = rows.flatMap((row) => {
      const [, name = '', keys = ''] = row.split('|').map((cell) => cell.trim());
      if (name !== '') secret = name.replaceAll('`', '');
      return [...keys.matchAll(/`([\w.-]+)`/g)].map(([, key]) => `${secret} ${key}`);
    });
    expect(pairs.filter((pair) => !told.includes(pair))).toEqual([]);
  });

  it('has a row for every sample', () => {
    for (const name of samples())
      expect(rows.some((row) => row.startsWith(`| \`${name}.yaml\` |`))).toBe(true);
  });

  it('says what the chart says of the oldest Kubernetes', () => {
    const [, oldest] =
      /kubeVersion: ">=([\d.]+)\.0-0"/.exec(text('charts/voice-fleet/Chart.yaml')) ?? [];
    expect(operations('install')).toContain(`Kubernetes ${oldest} or newer`);
  });

  it('is right that nothing random is made', () => {
    const folder = join(CHART, 'templates');
    const templates = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.(tpl|yaml|txt)$/.test(path))
      .map((path) => readFileSync(join(folder, path), 'utf8'));
    expect(templates.join('\n')).not.toMatch(/\b(rand\w+|gen[A-Z]\w+|uuidv4|now|shuffle)\b[^:]*}}/);
  });
});

describe('docs/operations/sizing.md', () => {
  const CARDS: Readonly<Record<string, Gpu>> = {
    L4: { name: 'NVIDIA L4', memoryMib: 23_034 },
    L40S: { name: 'NVIDIA L40S', memoryMib: 46_068 },
    A100: { name: 'NVIDIA A100-SXM4-80GB', memoryMib: 81_920 },
    H100: { name: 'NVIDIA H100 80GB HBM3', memoryMib: 81_559 },
    H200: { name: 'NVIDIA H200', memoryMib: 143_771 },
  };
  const ENV = { floor: 1, ceiling: 0, start: 0, targetFrameLatencyMs: 165, maxNumSeqs: 0 };
  const memoryUtilization = 0.92;

  it.each(Object.entries(CARDS))(
    'plans an %s with as many sessions as its worker does',
    (name, gpu) => {
      const row = operations('sizing')
        .split('\n')
        .find((line) => line.startsWith(`| ${name}, `));
      const { start, ceiling } = capacitySettings({ ...ENV, memoryUtilization }, gpu, 30);
      const safe = safeSessions(kvPoolGib(gpu.memoryMib / 1024, memoryUtilization), 30);
      expect(row?.split('|').slice(2, 5).map(Number)).toEqual([start, safe, ceiling]);
    },
  );
});

describe('docs/operations/troubleshoot.md', () => {
  const page = operations('troubleshoot');
  const gateway: Readonly<Record<NotReady, true>> = {
    redis_unavailable: true,
    no_workers: true,
    model_load_failed: true,
    full: true,
    stopping: true,
  };

  it('knows every reason for which a gateway or a worker takes no session', () => {
    for (const reason of [...Object.keys(gateway), ...LinkRefusal.options, 'unreachable'])
      expect(page).toContain(`\`${reason}\``);
    const unready = DEGRADE_LEVELS.filter((level) => !PERMISSIONS[level].ready);
    expect(unready.length).toBeGreaterThan(0);
    for (const level of unready) expect(page).toContain(`overloaded: ${level}`);
  });
});

describe('pages for operators', () => {
  const sources = [
    ...['services', 'packages'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => /\/src\/.*\.(ts|lua)$/.test(path) && !path.includes('node_modules'))
        .filter((path) => !path.endsWith('.spec.ts'))
        .map((path) => text(join(folder, path))),
    ),
    text('docs/configuration.md'),
    text('docs/metrics.md'),
  ].join('\n');
  const paths = (nodes: readonly ValueNode[]): string[] =>
    nodes.flatMap((node) => [node.path, ...paths(node.children)]);
  const values = paths(readValues(text('charts/voice-fleet/values.yaml')));

  it.each(PAGES)(
    'name no event, code, metric or variable in %s that services do not have',
    (name) => {
      const codes = coded(operations(name))
        .map((code) => code.replace(/\{.*$/, ''))
        .filter((code) => /^[a-z]+(_[a-z]+)+$|^[A-Z]+(_[A-Z]+)+$/.test(code))
        .filter((code) => !OTHERS.has(code));
      const whole = (code: string): boolean => new RegExp(`\\b_?${code}\\b`).test(sources);
      expect(codes.filter((code) => !whole(code))).toEqual([]);
    },
  );

  it.each(PAGES)('name no value in %s that the chart does not have', (name) => {
    const tops = new Set(values.map((path) => path.split('.')[0]));
    const of = (path: string): boolean =>
      values.some((value) => value === path || value.endsWith(`.${path}`));
    const wrong = coded(operations(name))
      .map((code) => code.replace(/[:=].*$/, '').replace(/\.\*$/, ''))
      .filter((code) => /^[a-z]\w*(\.[a-z]\w*)+$/i.test(code))
      .filter((code) => tops.has(code.split('.')[0] ?? '') || /^[a-z]+[A-Z]/.test(code))
      .filter((code) => !of(code));
    expect(wrong).toEqual([]);
  });
});

describe('values that pages show', () => {
  const BASE = { auth: { existingSecret: 'keys' }, redis: { url: 'redis://redis' } };
  const tops = new Set(readValues(text('charts/voice-fleet/values.yaml')).map(({ path }) => path));
  const blocks = readdirSync(join(ROOT, 'docs/operations'))
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) =>
      [...text(`docs/operations/${file}`).matchAll(/```yaml\n(.*?)```/gs)].map(
        ([, yaml = '']) => [file, parse(yaml) as JsonObject] as const,
      ),
    )
    .filter(([, values]) => isObject(values) && Object.keys(values).every((key) => tops.has(key)));

  it.each(blocks)('are such that the chart in %s renders with them', (_, values) => {
    const pools = { cpu: { engine: 'pocketsphinx' } };
    const set = ['crdChecks=false'];
    expect(renderChart({ values: { ...BASE, pools, ...values }, set }).length).toBeGreaterThan(5);
  });
});

/** Words of others: of Redis, Hugging Face and Kubernetes. */
const OTHERS = new Set(['NODE_EXTRA_CA_CERTS']);
