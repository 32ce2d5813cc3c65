import { say } from '../output.mjs';
import { poll } from '../ports.mjs';
import { isAlive, killRemnants, remnants, signal } from './identity.mjs';
import { lastRun, readPidFile, removePidFile, removeState } from './run-files.mjs';

/** What the supervisor needs beyond its own limit, to kill and to write it down. */
const GRACE_MS = 5_000;

/** Stops the servers and says so; returns the exit code, 0 also when nothing ran. */
export async function stop(settings) {
  const { ran, killed, left } = await endServers(settings);
  if (left.length > 0) {
    say(
      `These processes do not end, not even when killed: ${left.map(({ pid }) => pid).join(' ')}.`,
    );
    return 1;
  }
  if (!ran && killed === 0) say('Not running.');
  else say(killed > 0 ? `Stopped; ${killed} processes had to be killed.` : 'Stopped.');
  return 0;
}

/**
 * Ends the supervisor and whatever is left of its children, also when it was killed before and cannot do so itself.
 * Returns whether it ran, how many processes were killed, and those that live on.
 */
async function endServers(settings) {
  const supervisor = readPidFile(settings);
  const before = lastRun(settings);
  const ran = isAlive(supervisor);
  if (ran) {
    signal(supervisor, 'SIGTERM');
    const timeoutMs = settings.stopTimeoutMs + GRACE_MS;
    await poll(async () => !isAlive(supervisor), { timeoutMs });
  }
  // Its last state, too: children may have come since.
  const after = lastRun(settings);
  const run = {
    identities: [...before.identities, ...after.identities],
    runId: after.runId ?? before.runId,
  };
  const killed = await sweep(settings, run, { giveTime: !ran });
  const left = remnants(run);
  if (left.length === 0) forget(settings, supervisor);
  return { ran, killed, left };
}

/**
 * Makes way for a start: kills what a supervisor that was killed has left, since it would hold the ports. One that lives is
 * left alone; another start may have made it just now.
 */
export async function clearRemnants(settings) {
  const supervisor = readPidFile(settings);
  const run = lastRun(settings);
  if (run.identities.some(({ role, ...one }) => role === 'supervisor' && isAlive(one))) return;
  await sweep(settings, run, { giveTime: true });
  forget(settings, supervisor);
}

/** Kills what is left of a run and returns how many there were; with `giveTime` they may end by themselves before. */
async function sweep(settings, run, { giveTime }) {
  const gone = async () => remnants(run).length === 0;
  if (giveTime) await poll(gone, { timeoutMs: settings.stopTimeoutMs });
  const killed = killRemnants(run);
  await poll(async () => killRemnants(run) === 0, { timeoutMs: GRACE_MS });
  return killed;
}

function forget(settings, supervisor) {
  removePidFile(settings, supervisor ?? {});
  removeState(settings);
}
