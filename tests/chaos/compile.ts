import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Options, transform } from '@swc/core';

const REPO = fileURLToPath(new URL('../../', import.meta.url));
/** One for each run, named by its process. */
const COPIES = join(REPO, '.cache/chaos');
const WORKSPACES = ['packages', 'services'];
/** Programs of these tests that run in processes of their own. */
const OWN_PROGRAMS = 'tests/chaos/processes';

/** Apart from `SWC`, since swc's own types do not know its last option. */
const jsc = {
  target: 'es2023' as const,
  parser: { syntax: 'typescript' as const, decorators: true },
  transform: { legacyDecorator: true, decoratorMetadata: false },
  rewriteRelativeImportExtensions: true,
};
const SWC: Options = {
  configFile: false,
  swcrc: false,
  sourceMaps: 'inline',
  module: { type: 'es6' },
  jsc,
};

/** Services as they were when this was made. */
export interface Compiled extends AsyncDisposable {
  readonly root: string;
  remove(): Promise<void>;
}

/**
 * Compiles services and packages as they are now, without looking at types, in a fraction of a second. Starting a service
 * from the copy costs half of what starting it from source does, and no test depends on a build that somebody forgot. The
 * copy lies under `.cache`, from where Node finds `node_modules`; each run has its own.
 */
export async function compileServices(): Promise<Compiled> {
  const root = join(COPIES, String(process.pid));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  await removeLeftovers();
  await mkdir(join(root, 'node_modules/@voice-fleet'), { recursive: true });
  for (const group of WORKSPACES) {
    for (const name of await readdir(join(REPO, group))) {
      const folder = join(root, group, name);
      await compile(join(REPO, group, name, 'src'), join(folder, 'dist'));
      await cp(join(REPO, group, name, 'package.json'), join(folder, 'package.json'));
      // Served as it is written, from beside the programs.
      const pages = join(REPO, group, name, 'public');
      if (existsSync(pages)) await cp(pages, join(folder, 'public'), { recursive: true });
      // As npm links them: a package is named like its folder.
      await symlink(folder, join(root, 'node_modules/@voice-fleet', name));
    }
  }
  await compile(join(REPO, OWN_PROGRAMS), join(root, OWN_PROGRAMS));
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  return { root, remove, [Symbol.asyncDispose]: remove };
}

/** Copies of runs that were killed before they could remove them. */
async function removeLeftovers(): Promise<void> {
  for (const pid of await readdir(COPIES).catch(() => [])) {
    if (Number(pid) === process.pid || !isAlive(Number(pid)))
      await rm(join(COPIES, pid), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function compile(from: string, to: string): Promise<void> {
  const files = await readdir(from, { recursive: true, withFileTypes: true });
  await Promise.all(
    files.map(async (file) => {
      if (!file.isFile() || file.name.endsWith('.spec.ts')) return;
      const filename = join(file.parentPath, file.name);
      const target = join(to, filename.slice(from.length));
      await mkdir(dirname(target), { recursive: true });
      if (!file.name.endsWith('.ts')) return cp(filename, target);
      const { code } = await transform(await readFile(filename, 'utf8'), { ...SWC, filename });
      await writeFile(target.replace(/\.ts$/, '.js'), code);
    }),
  );
}
