import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { REPO, text } from '../support/docker-files.ts';

const FOLDER = '.github/workflows';
const FILES = readdirSync(join(REPO, FOLDER)).sort();

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly uses?: string;
  readonly 'timeout-minutes'?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly strategy?: { readonly 'max-parallel'?: number; readonly matrix?: unknown };
  readonly steps?: readonly Step[];
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: unknown;
  readonly concurrency?: { readonly group: string; readonly 'cancel-in-progress': unknown };
  readonly jobs: Readonly<Record<string, Job>>;
}

/** Rights beyond reading that a job may have, by file and job. */
const RIGHTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'release.yaml images': { contents: 'read', packages: 'write' },
  'release.yaml vllm': { contents: 'read', packages: 'write' },
  'release.yaml chart': { contents: 'write', packages: 'write' },
};

it('there is one workflow each for changes, the chart and releases', () => {
  expect(FILES).toEqual(['chart.yaml', 'ci.yaml', 'release.yaml']);
});

describe.each(FILES)('%s', (name) => {
  const source = text(`${FOLDER}/${name}`);
  const workflow = parse(source) as Workflow;
  const jobs = Object.entries(workflow.jobs);
  const steps = jobs.flatMap(([, job]) => job.steps ?? []);
  const scripts = steps.flatMap(({ run }) => run ?? []).join('\n');

  it('may only read, but for the jobs that publish', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' });
    for (const [job, { permissions = { contents: 'read' } }] of jobs)
      expect(permissions).toEqual(RIGHTS[`${name} ${job}`] ?? { contents: 'read' });
    expect(Object.keys(workflow.on)).not.toContain('pull_request_target');
  });

  it('ends in bounded time, and once for each branch', () => {
    for (const [job, { uses, 'timeout-minutes': minutes }] of jobs) {
      if (uses !== undefined) continue;
      expect([job, minutes]).toEqual([job, expect.any(Number)]);
      expect(minutes).toBeLessThanOrEqual(120);
    }
    expect(workflow.concurrency?.group).toContain('github.ref');
    for (const [, { strategy }] of jobs)
      if (strategy?.matrix !== undefined) expect(strategy['max-parallel']).toBeLessThanOrEqual(4);
  });

  it('takes actions by commit, and says which version that is', () => {
    const used = [...source.matchAll(/uses: (\S+)(.*)$/gm)].filter(
      ([, action = '']) => !action.startsWith('./'),
    );
    expect(used).toHaveLength(steps.filter(({ uses }) => uses !== undefined).length);
    for (const [, action, comment] of used) {
      expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
      expect([action, comment]).toEqual([action, expect.stringMatching(/^ # v\d+\.\d+\.\d+$/)]);
    }
  });

  it('leaves no token in a checkout', () => {
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
    expect(checkouts.length).toBeGreaterThan(0);
    for (const checkout of checkouts)
      expect(checkout.with).toEqual({ 'persist-credentials': false });
  });

  it('writes nothing into a script that somebody else may have chosen', () => {
    expect(scripts).not.toContain('${{');
  });

  it('calls scripts and workflows that are there', () => {
    const { scripts: known } = JSON.parse(text('package.json')) as { scripts: object };
    for (const [, script = ''] of scripts.matchAll(/npm run ([\w:-]+)/g))
      expect(Object.keys(known)).toContain(script);
    const checks = text('scripts/test.mjs');
    for (const [, check] of scripts.matchAll(/npm test -- --only (\w+)/g))
      expect(checks).toMatch(new RegExp(`^ {2}${check}: \\(`, 'm'));
    for (const [, { uses }] of jobs)
      if (uses?.startsWith('./')) expect(existsSync(join(REPO, uses))).toBe(true);
  });

  it('names files that are there', () => {
    const named = [...scripts.matchAll(/(?:charts|docker)\/[\w./-]+\w/g)].map(([path]) => path);
    for (const path of named) expect([path, existsSync(join(REPO, path))]).toEqual([path, true]);
  });

  it('names no host', () => {
    expect(source.replaceAll('app.kubernetes.io/', '')).not.toMatch(
      /\b[\w-]+\.(?:io|com|org|net|dev)\b/,
    );
  });
});

describe('chart.yaml', () => {
  it('runs the commands that a newcomer is told, as they stand', () => {
    const page = text('docs/operations/first-cluster.md');
    const commands = /```sh\n([\s\S]*?)```/.exec(page)?.[1]?.trim().split('\n') ?? [];
    const { jobs } = parse(text(`${FOLDER}/chart.yaml`)) as Workflow;
    const run = jobs['kind']?.steps?.flatMap((step) => step.run ?? []) ?? [];
    expect(commands).toHaveLength(5);
    expect(run.slice(0, 5)).toEqual(commands);
  });
});

describe('release.yaml', () => {
  const { jobs } = parse(text(`${FOLDER}/release.yaml`)) as Workflow;
  const builds = Object.values(jobs).flatMap(({ steps = [] }) =>
    steps.filter(({ uses }) => uses?.startsWith('docker/build-push-action@')),
  );

  it('tells of each image where it comes from and what is in it', () => {
    expect(builds).toHaveLength(2);
    for (const { with: settings } of builds)
      expect(settings).toMatchObject({ provenance: 'mode=max', sbom: true, push: true });
  });

  it('gives arguments that the Dockerfiles take', () => {
    for (const { with: settings } of builds) {
      const files = String(settings?.['file']).includes('matrix') ? ['node', 'clients'] : ['vllm'];
      const given = [...String(settings?.['build-args']).matchAll(/^(\w+)=/gm)].map(
        ([, arg]) => arg,
      );
      expect(given).toEqual(expect.arrayContaining(['VERSION', 'REVISION', 'SOURCE']));
      for (const file of files)
        for (const arg of given)
          expect(text(`docker/${file}.Dockerfile`)).toMatch(new RegExp(`^ARG ${arg}=?`, 'm'));
    }
  });

  it('publishes nothing that has not passed', () => {
    const needs = (job: string) => (jobs[job] as { needs?: string[] } | undefined)?.needs;
    expect(needs('images')).toContain('verify');
    expect(needs('vllm')).toContain('verify');
    expect(needs('chart')).toContain('images');
  });
});
