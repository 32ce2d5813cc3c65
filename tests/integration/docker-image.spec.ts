import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const DOCKERFILE = join(import.meta.dirname, '../../docker/node.Dockerfile');

describe('what the image of a service is filled with', () => {
  let source: string;
  let app: string;
  beforeEach(() => {
    source = mkdtempSync(join(tmpdir(), 'voice-fleet-image-'));
    app = join(source, 'app');
  });
  afterEach(() => rmSync(source, { recursive: true }));

  function make(...paths: string[]): void {
    for (const path of paths) {
      mkdirSync(join(source, dirname(path)), { recursive: true });
      writeFileSync(join(source, path), '');
    }
  }

  /** Runs the line of the Dockerfile that copies; gives all files it made. */
  function fill(service: string): string[] {
    const lines = readFileSync(DOCKERFILE, 'utf8').replaceAll('\\\n', ' ').split('\n');
    const [run = ''] = lines.filter((line) => line.startsWith('RUN for folder'));
    const command = run.replace('RUN ', '').replaceAll('/app', app);
    const { stderr, status } = spawnSync('/bin/sh', ['-ec', command], {
      encoding: 'utf8',
      cwd: source,
      env: { PATH: process.env['PATH'], SERVICE: service },
    });
    expect([stderr, status]).toEqual(['', 0]);
    return readdirSync(app, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(app, join(parentPath, name)))
      .sort();
  }

  it('is the compiled service, and the page beside it, where it is looked for', () => {
    make('packages/fleet/dist/lease.js', 'packages/fleet/src/lease.ts');
    make('packages/fleet/package.json', 'packages/types/package.json');
    for (const service of ['gateway', 'asr-worker']) {
      make(`services/${service}/dist/main.js`, `services/${service}/src/main.ts`);
      make(`services/${service}/package.json`);
    }
    make('services/gateway/public/index.html');
    expect(fill('gateway')).toEqual([
      'packages/fleet/dist/lease.js',
      'packages/fleet/package.json',
      'services/gateway/dist/main.js',
      'services/gateway/package.json',
      'services/gateway/public/index.html',
    ]);
  });

  it('is no page where a service has none', () => {
    make('services/asr-worker/dist/main.js', 'services/asr-worker/package.json');
    expect(fill('asr-worker')).toEqual([
      'services/asr-worker/dist/main.js',
      'services/asr-worker/package.json',
    ]);
  });
});
