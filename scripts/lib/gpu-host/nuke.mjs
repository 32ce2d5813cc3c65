import { existsSync, lstatSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { say } from '../output.mjs';
import { repoRoot } from '../paths.mjs';
import { RUN_MARKER } from './run-files.mjs';
import { given } from './settings.mjs';

/** Files of which one makes a folder that model. */
const MODEL_FILES = ['params.json', 'tekken.json'];

/**
 * What `stop --nuke` deletes: venv, model, log and run folder. Nothing is deleted here. Throws with one sentence for each
 * path that it refuses: one that is, or holds, the checkout, the home or the root folder, and a folder that does not look
 * like what it is said to be, wherever it lies.
 */
export function nukeTargets(settings) {
  const { venvDir, modelDir, logFile, pidFile, stateFile, runDir } = settings;
  const targets = [
    folder('VENV_DIR', venvDir, (names) => names.includes('pyvenv.cfg')),
    folder('VOXTRAL_MODEL_DIR', modelDir, (names) =>
      names.some((name) => MODEL_FILES.includes(name) || name.endsWith('.safetensors')),
    ),
    { name: 'SERVER_LOG_FILE', path: logFile },
    { name: 'SERVER_PID_FILE', path: pidFile },
    { name: 'the state file', path: stateFile },
  ];
  // A folder that was there before we came stays; our files in it go one by one.
  if (existsSync(join(runDir, RUN_MARKER))) {
    targets.push(folder('VF_RUN_DIR', runDir, (names) => names.includes(RUN_MARKER)));
  }
  const there = targets.filter(({ path }) => existsSync(path));
  const refused = there.map(refusal).filter(Boolean);
  if (refused.length > 0) throw new Error(`Nothing was deleted.\n${refused.join('\n')}`);
  return there.map(({ path }) => path);
}

/** Deletes what `nukeTargets` has named; a symbolic link goes, what it points to stays. */
export function nuke(paths) {
  for (const path of paths) {
    rmSync(path, { recursive: true, force: true });
    say(`Deleted ${path}`);
  }
  if (paths.length === 0) say('Nothing to delete.');
}

function folder(name, path, looksRight) {
  return { name, path, looksRight };
}

function refusal({ name, path, looksRight }) {
  const real = join(realpathSync(dirname(path)), basename(path));
  const kept = [repoRoot, homedir()]
    .filter((one) => existsSync(one))
    .flatMap((one) => [one, realpathSync(one)]);
  if (kept.some((one) => holds(path, one) || holds(real, one))) {
    return `${name}=${path} is or holds the checkout or your home folder.`;
  }
  if (looksRight === undefined) {
    return lstatSync(path).isDirectory() ? `${name}=${path} is a folder.` : undefined;
  }
  if (looksRight(entries(path))) return undefined;
  // Left half made at its usual place.
  if (entries(path).length === 0 || (given(name) === undefined && holds(repoRoot, path))) {
    return undefined;
  }
  return `${name}=${path} does not look like it; delete it by hand if it is.`;
}

/** Whether `path` is `other` or a folder above it. */
function holds(path, other) {
  const way = relative(path, other);
  return way === '' || !(way === '..' || way.startsWith('../'));
}

function entries(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
