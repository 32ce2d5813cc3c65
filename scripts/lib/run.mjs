import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { eachLine, paint, say, tell } from './output.mjs';
import { poll } from './ports.mjs';
import { signalGroup } from './processes.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** Ends of groups that a signal has reached: we end when all of them have. */
const ending = [];
/** Longer than `npm start`, which tests run, takes to end a child of its own that hangs. */
const PATIENCE_MS = 15_000;

/**
 * Runs a command in a process group of its own and gives its exit code. A signal that reaches us meanwhile is passed to the
 * whole group, and to those of other commands under way; when all are gone we end with 128 + the signal's number, as a
 * shell does.
 */
export async function runGroup(command, args, options) {
  const child = spawn(command, args, { ...options, detached: true });
  child.on('error', (error) => say(`cannot run ${command}: ${error.message}`));
  let onSignal;
  const how = await new Promise((resolve) => {
    onSignal = (signal) => resolve({ signal });
    child.once('close', (code) => resolve({ code }));
    for (const signal of SIGNALS) process.on(signal, onSignal);
  });
  if (how.signal) {
    signalGroup(child, how.signal);
    const gone = poll(async () => !signalGroup(child, 0), { timeoutMs: PATIENCE_MS });
    ending.push(gone.then(() => signalGroup(child, 'SIGKILL')));
    // Twice, as others that run beside this one come to this line after it.
    await gone;
    await Promise.all(ending);
  }
  // Whatever it left in its group goes too.
  signalGroup(child, 'SIGKILL');
  if (how.signal) process.exit(128 + constants.signals[how.signal]);
  for (const signal of SIGNALS) process.off(signal, onSignal);
  return how.code;
}

/**
 * Runs one installing command, its lines shown under `name`; throws with the last lines when it fails. It stays in our
 * process group, as we may not signal what sudo runs: Ctrl+C reaches it, and when only we are ended it had better finish.
 */
export async function run(name, command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const lastLines = [];
  for (const stream of [child.stdout, child.stderr]) {
    eachLine(stream, (line) => {
      lastLines.push(line);
      if (lastLines.length > 12) lastLines.shift();
      tell(name, paint('dim', line));
    });
  }
  const [code] = await once(child, 'close');
  if (code !== 0) {
    throw new Error(`\`${command} ${args.join(' ')}\` failed (${code}): ${lastLines.join('\n')}`);
  }
}
