import { spawn } from 'node:child_process';
import { repoRoot } from '../paths.mjs';
import { familyOf, killRemnants, processOf } from './identity.mjs';
import { readLines } from './line-reader.mjs';

const KEPT_LINES = 20;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Who has lived so long starts again with the shortest pause. */
const SETTLED_MS = 60_000;
/** For the last lines of a child that has ended, should something unknown hold its pipes open. */
const LAST_LINES_MS = 1_000;

/**
 * One child that is kept running: it leads a session and a process group of its own, its lines go to `onLine`, and when it
 * ends it is started again, after pauses that double up to a minute. `onEnd` is told first and may forbid that.
 */
export class Supervised {
  #step;
  #deps;
  #child;
  #identity;
  #family = [];
  #startedAt = 0;
  #endedBadly = 0;
  #pause;
  #stopping = false;
  #exited = Promise.resolve();
  restarts = 0;
  lastExit;
  lastLines = [];

  /** @param deps `{ secrets, onLine(name, line), log(event, fields), onEnd(child, how): boolean, onChange() }` */
  constructor(step, deps) {
    this.#step = step;
    this.#deps = deps;
  }

  get name() {
    return this.#step.name;
  }

  get stage() {
    return this.#step.stage;
  }

  /** Whether what follows it starts only when it is ready. */
  get awaited() {
    return this.#step.awaited === true;
  }

  get running() {
    return this.#child !== undefined;
  }

  ready() {
    return this.running ? this.#step.ready().catch(() => false) : Promise.resolve(false);
  }

  start() {
    this.#pause = undefined;
    this.#startedAt = performance.now();
    const child = spawn(process.execPath, this.#step.args, {
      cwd: repoRoot,
      env: this.#step.env,
      // The reading end of a pipe to us, whose end tells it that we are gone.
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    child.stdin.on('error', () => {});
    this.#child = child;
    this.#identity = child.pid && processOf(child.pid);
    this.look();
    const readers = [child.stdout, child.stderr].map((stream) =>
      readLines(stream, this.#deps.secrets, (line) => this.#keep(line)),
    );
    this.#exited = new Promise((resolve) => {
      let failure;
      child.on('error', (error) => {
        failure = error.message;
        if (child.pid === undefined) resolve(this.#onExit(failure));
      });
      child.on('exit', (code, signal) => {
        // What it left in its group would hold its pipes open, and its ports.
        killRemnants({ identities: this.#family });
        const patience = setTimeout(() => {
          for (const stream of [child.stdout, child.stderr]) stream.destroy();
        }, LAST_LINES_MS);
        child.once('close', () => {
          clearTimeout(patience);
          for (const reader of readers) reader.finish();
          resolve(this.#onExit(failure ?? code ?? signal));
        });
      });
    });
  }

  /** Asks it to end; resolves when it has, and all that came from it. */
  async stop() {
    this.forget();
    this.look();
    this.#child?.kill('SIGTERM');
    await this.#exited;
  }

  /** From now on it is not started again. */
  forget() {
    this.#stopping = true;
    clearTimeout(this.#pause);
  }

  kill() {
    this.forget();
    this.look();
    killRemnants({ identities: this.#family });
  }

  /** Takes down which processes came from it, so that they are known even when it has ended. */
  look() {
    if (!this.#identity) return;
    const { pid, since } = this.#identity;
    if (this.#child) this.#family = familyOf(pid);
    if (!this.#family.some((one) => one.pid === pid)) this.#family.push({ pid, since });
  }

  describe() {
    const { name, restarts, lastExit } = this;
    const identity = this.#child && this.#identity;
    const { pid, since } = identity ?? {};
    return { name, pid, since, restarts, lastExit, family: this.#child ? this.#family : [] };
  }

  #keep(line) {
    this.lastLines.push(line);
    if (this.lastLines.length > KEPT_LINES) this.lastLines.shift();
    this.#deps.onLine(this.name, line);
  }

  #onExit(how) {
    const lived = performance.now() - this.#startedAt;
    this.#child = undefined;
    this.lastExit = String(how);
    this.#endedBadly = lived > SETTLED_MS ? 1 : this.#endedBadly + 1;
    if (!this.#stopping && this.#deps.onEnd(this, how)) {
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#endedBadly - 1));
      this.#deps.log('child_restarting', { child: this.name, how: this.lastExit, pauseMs });
      this.#pause = setTimeout(() => {
        this.restarts += 1;
        this.start();
        this.#deps.onChange();
      }, pauseMs);
    }
    this.#deps.onChange();
  }
}
