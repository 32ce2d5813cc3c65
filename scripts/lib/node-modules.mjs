import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { tell, withProgress } from './output.mjs';
import { repoRoot } from './paths.mjs';
import { runGroup } from './run.mjs';

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes what it installed to
 * node_modules/.package-lock.json as its last act, so contents are compared, not times: a checkout
 * touches files without changing them, and an interrupted install leaves no such file.
 */
export function nodeModulesMatchLock(root = repoRoot) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const installed = readPackages(join(root, 'node_modules/.package-lock.json'));
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = installed[path];
    // Optional packages are those of other platforms.
    if (!found) return entry.optional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
}

/** Runs `npm ci` when node_modules is missing or older than the lock. */
export async function ensureNodeModules(root = repoRoot) {
  if (nodeModulesMatchLock(root)) return { installed: false };
  try {
    await withProgress('installing npm packages', () => npm(root, ['ci']));
  } catch {
    // A registry mirror that lacks optional packages of other platforms makes `npm ci` refuse the lock.
    // This installs the same locked versions and leaves the lock alone.
    tell('setup', '`npm ci` did not do: trying `npm install --no-save`', 'yellow');
    await withProgress('installing npm packages', () =>
      npm(root, ['install', '--no-save'], { show: true }),
    );
  }
  return { installed: true };
}

/** Runs npm to its end in a folder; throws when it fails. */
export async function npm(
  root,
  args,
  { show = false, hint = 'that node_modules is writable' } = {},
) {
  // The npm that runs us, so that no second one is needed on PATH.
  const outer = env.npm_execpath;
  const [command, ...first] = outer?.endsWith('npm-cli.js') ? [process.execPath, outer] : ['npm'];
  const all = [...first, ...args, '--include=dev', '--no-audit', '--no-fund'];
  const code = await runGroup(command, all, {
    cwd: root,
    env: environmentForNpm(),
    // Never on stdout, which `--json` keeps for itself.
    stdio: ['ignore', show ? 2 : 'ignore', show ? 2 : 'ignore'],
  });
  if (code !== 0) {
    throw new Error(
      `\`npm ${args.join(' ')}\` failed (its reason is above); check the network and ${hint}, then run the same command again.`,
    );
  }
}

/** What npm hands to scripts about its own command line, and what would make `npm ci` do something else. */
const OF_THE_OUTER_NPM =
  /^(npm_(lifecycle|package|command)|npm_config_(json|dry_run|global|location|omit|only|production|workspaces?|include_workspace_root|package_lock(_only)?)$|NODE_ENV$)/i;

function environmentForNpm() {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OF_THE_OUTER_NPM.test(name)));
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}
