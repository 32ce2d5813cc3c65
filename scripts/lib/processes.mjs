import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { eachLine } from './output.mjs';

const PATIENCE_MS = 10_000;
const KEPT_LINES = 20;

/**
 * The child processes of one command. Each leads its own process group: Ctrl+C reaches only us, so that we
 * choose the order in which they stop, and what a child has started itself can be ended with it.
 * Each also holds the reading end of a pipe to us, whose end tells it that we are gone.
 */
export class Processes {
  #running = new Set();
  #stopping = false;
  #onLine;

  /** @param onLine called with (name, line) for every line a child prints */
  constructor(onLine) {
    this.#onLine = onLine;
    // The last resort, whatever ends this process.
    process.on('exit', () => this.killAll());
  }

  /** Starts one child; `exited` settles when it has ended and all it printed was read. */
  start(
    name,
    command,
    args,
    { env = {}, stdout = (line) => this.#onLine(name, line), ...options } = {},
  ) {
    if (this.#stopping) throw new Error(`${name} was not started: everything is being stopped`);
    const child = spawn(command, args, {
      ...options,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const started = { name, child, lastLines: [] };
    const keep = (line) => {
      started.lastLines.push(line);
      if (started.lastLines.length > KEPT_LINES) started.lastLines.shift();
    };
    eachLine(child.stdout, (line) => {
      keep(line);
      stdout(line);
    });
    eachLine(child.stderr, (line) => {
      keep(line);
      this.#onLine(name, line);
    });
    // Writing is never tried, and a child that is gone is reported by its exit.
    child.stdin.on('error', () => {});
    started.exited = new Promise((resolve) => {
      child.on('error', (error) => {
        keep(error.message);
        resolve({ code: 1 });
      });
      child.on('close', (code, signal) => resolve({ code, signal }));
    });
    this.#running.add(started);
    child.on('exit', () => {
      // Whatever it left in its group goes too.
      signalGroup(child, 'SIGKILL');
      this.#running.delete(started);
    });
    return started;
  }

  /** Stops children one after the other, the last started first, none longer than ten seconds. */
  async stopAll() {
    this.#stopping = true;
    for (const { child, exited } of [...this.#running].reverse()) {
      child.kill('SIGTERM');
      const patience = new AbortController();
      const late = delay(PATIENCE_MS, 'late', { signal: patience.signal }).catch(() => {});
      if ((await Promise.race([exited, late])) === 'late') signalGroup(child, 'SIGKILL');
      patience.abort();
      await exited;
    }
  }

  killAll() {
    for (const { child } of this.#running) signalGroup(child, 'SIGKILL');
  }
}

/** Whether there was anything in the process group of `child` to signal; signal 0 only asks. */
export function signalGroup(child, signal) {
  if (!child.pid) return false;
  try {
    return process.kill(-child.pid, signal);
  } catch {
    // The group is empty.
    return false;
  }
}
