// Which process is meant by a number that was written down earlier. Numbers are given out again, so each is kept with the
// moment its process began: nobody else has both.
import { readdirSync, readFileSync } from 'node:fs';

/** In the environment of everything that a supervisor starts: the id of its run. */
export const RUN_VARIABLE = 'VF_GPU_HOST_RUN';

/** Start times count from the boot, so they say nothing after the next one. */
const BOOT = readOr('/proc/sys/kernel/random/boot_id', '').slice(0, 8);

/**
 * Every living process as `{ pid, parent, group, session, since }`. One that has ended and waits for its parent to look
 * counts as gone: in a container without an init nobody ever looks.
 */
export function livingProcesses() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processOf(Number(name)) ?? []);
}

/** What is running under this number now, or undefined. */
export function processOf(pid) {
  // `pid (name) state ppid pgrp session …`, the 22nd field being the start time; the name may hold spaces and brackets.
  const fields = readOr(`/proc/${pid}/stat`, '')
    .replace(/^.*\) /s, '')
    .split(' ');
  if (fields.length < 20 || fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const [, parent, group, session] = fields.map(Number);
  return { pid, parent, group, session, since: `${BOOT}/${fields[19]}` };
}

/** Whether the process that was written down is still that one. */
export function isAlive(identity) {
  return identity !== undefined && processOf(identity.pid)?.since === identity.since;
}

/** How long a process has been running, in seconds. */
export function uptimeS({ since }) {
  // Ticks are 1/100 s for every program on Linux, whatever the kernel uses inside.
  const ticks = Number(since.split('/')[1]);
  return Math.max(0, Math.round(Number(readOr('/proc/uptime', '0').split(' ')[0]) - ticks / 100));
}

/** The process `pid` and all that came from it: its descendants and whoever is in its group or session. */
export function familyOf(pid) {
  const living = livingProcesses();
  const family = new Map();
  let found = living.filter(
    (one) => one.pid === pid || one.group === pid || one.session === pid || one.parent === pid,
  );
  while (found.length > 0) {
    for (const one of found) family.set(one.pid, one);
    found = living.filter((one) => family.has(one.parent) && !family.has(one.pid));
  }
  return [...family.values()].map(({ pid, since }) => ({ pid, since }));
}

/**
 * What is left of a run: of the processes that were written down, and of those in whose environment the id of the run stands.
 * The number of a group is not given out again while it has a member, so the other members of a group in which one of ours
 * still lives are ours too, also those that were never written down and have overwritten their environment.
 */
export function remnants({ identities, runId }) {
  const living = livingProcesses();
  const mark = runId && `${RUN_VARIABLE}=${runId}\0`;
  const ours = living.filter(
    (one) =>
      identities.some(({ pid, since }) => one.pid === pid && one.since === since) ||
      (mark && readOr(`/proc/${one.pid}/environ`, '').includes(mark)),
  );
  const groups = new Set(ours.map(({ group }) => group));
  return living.filter(({ pid, group }) => pid !== process.pid && groups.has(group));
}

/** Kills what is left of a run, whole groups at a time, and says how many processes there were. */
export function killRemnants(run) {
  const left = remnants(run);
  for (const group of new Set(left.map((one) => one.group))) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
  return left.length;
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signal(identity, name) {
  if (!isAlive(identity)) return false;
  try {
    return process.kill(identity.pid, name);
  } catch {
    return false;
  }
}

function readOr(path, fallback) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return fallback;
  }
}
