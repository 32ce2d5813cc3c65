import { readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { REPO, text } from '../support/docker-files.ts';

interface Package {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
interface Locked extends Package {
  readonly link?: boolean;
  readonly resolved?: string;
  readonly dev?: boolean;
}

const LOCK = (JSON.parse(text('package-lock.json')) as { packages: Record<string, Locked> })
  .packages;
/** Loads TypeScript where there is no build: never in an image. */
const FROM_SOURCE = 'tsx';
const WORKSPACES = ['packages', 'services'].flatMap((group) =>
  readdirSync(join(REPO, group)).map((name) => `${group}/${name}`),
);

function declared(workspace: string): string[] {
  const { dependencies, optionalDependencies } = JSON.parse(
    text(`${workspace}/package.json`),
  ) as Package;
  return [...Object.keys(dependencies ?? {}), ...Object.keys(optionalDependencies ?? {})];
}

/** Names of the packages that the compiled files of a workspace load. */
function loaded(workspace: string): Set<string> {
  const files = readdirSync(join(REPO, workspace, 'src'), { recursive: true, encoding: 'utf8' });
  const names = new Set<string>();
  for (const file of files) {
    if (!file.endsWith('.ts') || /\.(?:spec|fixture)\.ts$/.test(file)) continue;
    // Types are gone once it is compiled; lines of comments load nothing.
    const source = text(`${workspace}/src/${file}`)
      .replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, '')
      .replaceAll(/^(?:import|export) type [^;]*;/gm, '');
    const used = source.matchAll(
      /(?:\bfrom |\bimport\(|^import |\brequire\(|\bresolve\()'([^'.][^']*)'/gm,
    );
    for (const [, specifier = ''] of used) {
      if (isBuiltin(specifier) || !/^@?[\w-]/.test(specifier) || /\s/.test(specifier)) continue;
      names.add(
        specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/'),
      );
    }
  }
  return names;
}

/** Workspaces that come into the image of one: itself, and what it depends on. */
function closure(workspace: string, found = new Set([workspace])): Set<string> {
  for (const name of declared(workspace)) {
    const own = LOCK[`node_modules/${name}`];
    if (own?.link !== true || own.resolved === undefined || found.has(own.resolved)) continue;
    found.add(own.resolved);
    closure(own.resolved, found);
  }
  return found;
}

const ROOTS = ['services/gateway', 'services/asr-worker', 'services/llm-tts', 'packages/client'];

describe.each(ROOTS)('the image of %s', (root) => {
  const workspaces = [...closure(root)].sort();

  it.each(workspaces)('has every package that %s loads', (workspace) => {
    const used = [...loaded(workspace)].filter((name) => name !== FROM_SOURCE).sort();
    const there = declared(workspace);
    expect(used.filter((name) => !there.includes(name))).toEqual([]);
  });

  it('has no fakes, no tests and no other service', () => {
    expect(workspaces).not.toContain('packages/testkit');
    expect(workspaces.filter((name) => name.startsWith('services/') && name !== root)).toEqual([]);
    if (root !== 'packages/client') expect(workspaces).not.toContain('packages/client');
  });

  it('is installed without the tools of development, as the lock says', () => {
    const outside = workspaces
      .flatMap(declared)
      .filter((name) => LOCK[`node_modules/${name}`]?.dev === true);
    expect(outside).toEqual([]);
  });
});

it('every workspace is looked at, or is for tests', () => {
  const shipped = new Set(ROOTS.flatMap((root) => [...closure(root)]));
  expect(WORKSPACES.filter((name) => !shipped.has(name))).toEqual(['packages/testkit']);
});
