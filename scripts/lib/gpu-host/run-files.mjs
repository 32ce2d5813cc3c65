import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isAlive, processOf } from './identity.mjs';

/** Stands in a run folder that `start` has made, and so may be deleted as a whole. */
export const RUN_MARKER = '.voice-fleet-run';

/** Exit code by which a supervisor tells `start` that another one was faster. */
export const TAKEN = 3;

/** Makes the folder of log, pid file and state; only one that was not there before gets the marker. */
export function makeRunFolder({ runDir, logFile, pidFile }) {
  if (!existsSync(runDir)) {
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    writeFileSync(
      join(runDir, RUN_MARKER),
      'Made by `npm run gpu -- start`; removed by `stop --nuke`.\n',
    );
  }
  for (const file of [logFile, pidFile]) mkdirSync(dirname(file), { recursive: true });
}

/** The supervisor that was written down, as `{ pid, since }`; undefined without a readable pid file. */
export function readPidFile({ pidFile }) {
  const [pid, since] = readOr(pidFile, '').trim().split(' ');
  return since === undefined ? undefined : { pid: Number(pid), since };
}

/**
 * Writes this process down as the supervisor. False when another one that lives is there already. The file appears with
 * its text, by link, so that of two that start at once one finds the other's.
 */
export function claimPidFile({ pidFile }) {
  const { pid, since } = processOf(process.pid);
  const draft = `${pidFile}.${pid}`;
  writeFileSync(draft, `${pid} ${since}\n`);
  try {
    if (link(draft, pidFile)) return true;
    if (isAlive(readPidFile({ pidFile }))) return false;
    const stale = `${draft}.stale`;
    renameSync(pidFile, stale);
    // Between reading and moving somebody else may have done the same and be in it.
    const moved = readPidFile({ pidFile: stale });
    if (isAlive(moved)) link(stale, pidFile);
    rmSync(stale, { force: true });
    return !isAlive(moved) && link(draft, pidFile);
  } finally {
    rmSync(draft, { force: true });
  }
}

function link(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes the pid file, but not that of another supervisor. */
export function removePidFile(settings, owner) {
  const written = readPidFile(settings);
  if (written === undefined || (written.pid === owner.pid && written.since === owner.since)) {
    rmSync(settings.pidFile, { force: true });
  }
}

/** What the supervisor last said of itself and its children; undefined when it never did. */
export function readState({ stateFile }) {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Replaces the state as a whole, so that a reader never sees half of it. */
export function writeState({ stateFile }, state) {
  const draft = `${stateFile}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(state), { mode: 0o600 });
  renameSync(draft, stateFile);
}

export function removeState({ stateFile }) {
  rmSync(stateFile, { force: true });
}

/** Every process that pid file and state tell of, and the id of their run: what `remnants` takes. */
export function lastRun(settings) {
  const state = readState(settings);
  const supervisors = [readPidFile(settings), state?.supervisor]
    .filter(Boolean)
    .map((one) => ({ ...one, role: 'supervisor' }));
  const families = (state?.children ?? []).flatMap(({ family }) => family);
  return { identities: [...supervisors, ...families], runId: state?.runId };
}

/** The settings with the addresses under which the servers were started, whatever this shell's environment says now. */
export function asStarted(settings) {
  return { ...settings, ...readState(settings)?.addresses };
}

/** The part of the settings that `asStarted` gives back; without the password that an address of Redis may hold. */
export function addressesOf({ address, healthUrl, vllmUrl, ports, runsVllm, redisUrl }) {
  return { address, healthUrl, vllmUrl, ports, runsVllm, redisUrl: redisUrl && 'given' };
}

function readOr(path, fallback) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return fallback;
  }
}
