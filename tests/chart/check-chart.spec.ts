import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const ROOT = join(import.meta.dirname, '../..');
let folder: string;
let good: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'voice-fleet-check-chart-'));
  good = join(folder, 'good.yaml');
  writeFileSync(
    good,
    'auth: {existingSecret: keys}\nredis: {url: "redis://redis"}\npools: {cpu: {engine: pocketsphinx}}\n',
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function checkChart(...args: string[]) {
  const tsx = join(ROOT, 'node_modules/.bin/tsx');
  const all = ['--conditions=source', join(ROOT, 'scripts/check-chart.ts'), ...args];
  const { status, stdout, stderr } = spawnSync(tsx, all, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('npm run check:chart', () => {
  it('finds nothing in a release that is right', () => {
    const { status, stdout } = checkChart('--values', good);
    expect(stdout).toMatch(/ok {3}helm 4, .*good\.yaml/);
    expect(stdout).toMatch(/ok {3}helm 3, .*good\.yaml, Kubernetes 1\.29/);
    expect(stdout).toMatch(/\n4 renders, \d{2} objects, 0 findings\n$/);
    expect(status).toBe(0);
  });

  it('tells what is wrong with one that is not, and what cannot be rendered', () => {
    const node = join(folder, 'node.yaml');
    writeFileSync(node, 'jobs: {enabled: true, existingClaim: claim}\nredis: {url: ""}\n');
    const bad = join(folder, 'bad.yaml');
    const volume = '{name: node, hostPath: {path: /etc}}';
    writeFileSync(
      bad,
      `auth: {existingSecret: keys}\nredis: {url: "redis://redis"}\npools: {cpu: {engine: pocketsphinx, extraVolumes: [${volume}]}}\n`,
    );
    const { status, stdout } = checkChart(
      '--values',
      bad,
      '--values',
      node,
      '--helm',
      '4',
      '--json',
    );
    const { found, results } = JSON.parse(stdout) as {
      found: number;
      results: { findings: { rule: string; message: string }[] }[];
    };
    const [first, , third] = results.map(({ findings }) => findings.map(({ rule }) => rule));
    expect(new Set(first)).toEqual(new Set(['pod-security-volumes', 'node-mounts', 'mounts']));
    expect(third).toEqual(['render']);
    expect(found).toBe(2 * ((first?.length ?? 0) + 1));
    expect(status).toBe(1);
  });

  it('says what its options are, and refuses others', () => {
    expect(checkChart('--help')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--schemas DIR'),
    });
    expect(checkChart('--rules').stdout).toContain('\nmounts\n');
    expect(checkChart('--helm', '5')).toMatchObject({
      status: 2,
      stderr: '--helm is 3 or 4, not 5\n',
    });
    expect(checkChart('--chart', 'x')).toMatchObject({ status: 2 });
    expect(checkChart('--schemas', join(folder, 'none'))).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('there is no folder'),
    });
  });
});
