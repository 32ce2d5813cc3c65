// The one process behind `npm run gpu -- start`: detached from the terminal, it runs the servers, writes their lines to the one
// log, starts again what ends, and stops all on SIGTERM. What it does is in the state file for the commands to read.
import { randomUUID } from 'node:crypto';
import { env } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { poll } from '../ports.mjs';
import { BoundedLog } from './bounded-log.mjs';
import { processOf, RUN_VARIABLE } from './identity.mjs';
import { planOf } from './plan.mjs';
import { redactor } from './redact.mjs';
import {
  addressesOf,
  claimPidFile,
  removePidFile,
  removeState,
  TAKEN,
  writeState,
} from './run-files.mjs';
import { readSettings } from './settings.mjs';
import { Supervised } from './supervised.mjs';

const PROBE_MS = 500;
const LOOK_MS = 5_000;
/** How much of the time to stop each stage may take, so that the last still has some. */
const STAGE_ENDS = [0.5, 0.8, 1];
const USUAL = ['supervisor_started', 'ready', 'stopping', 'stopped'];
/** After a kill; a process that hangs in a driver outlives even that. */
const AFTER_KILL_MS = 3_000;

class Supervisor {
  #settings = readSettings();
  #secrets = redactor(env);
  #identity = processOf(process.pid);
  #runId = randomUUID();
  #log;
  #children;
  #phase = 'starting';
  #waitingFor = [];
  #failure;
  #startedAt = new Date().toISOString();
  #ending;

  run() {
    this.#log = new BoundedLog(this.#settings.logFile, this.#settings.logMaxBytes);
    const environment = { ...env, [RUN_VARIABLE]: this.#runId };
    this.#children = planOf(this.#settings, environment).map((step) => this.#supervised(step));
    for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => this.#end({ signal: name }));
    // The terminal it was started from may be closed.
    process.on('SIGHUP', () => {});
    // Node's warnings go to stderr, whose reader, the command that started us, has long ended.
    process.stderr.on('error', () => {});
    process.on('uncaughtException', (error) => this.#crash(error));
    this.#write('supervisor_started', { pid: process.pid });
    this.#publish();
    setInterval(() => this.#look(), LOOK_MS);
    this.#bringUp().catch((error) => this.#crash(error));
  }

  async #bringUp() {
    const started = performance.now();
    const left = () => this.#settings.healthTimeoutMs - (performance.now() - started);
    for (const [index, child] of this.#children.entries()) {
      if (this.#ending) return;
      child.start();
      this.#waitingFor = this.#children.slice(index).map(({ name }) => name);
      this.#publish();
      if (child.awaited) await poll(() => this.#over(child.ready()), { timeoutMs: left() });
    }
    const allReady = async () => {
      const ready = await Promise.all(this.#children.map((child) => child.ready()));
      this.#wait(this.#children.filter((_, index) => !ready[index]).map(({ name }) => name));
      return this.#waitingFor.length === 0;
    };
    const took = await poll(() => this.#over(allReady()), { timeoutMs: left(), everyMs: PROBE_MS });
    if (this.#ending) return;
    if (took === false) {
      const names = this.#waitingFor.join(', ');
      const seconds = this.#settings.healthTimeoutMs / 1_000;
      const late = this.#children.find(({ name }) => name === this.#waitingFor[0]);
      this.#end({ name: names, how: `not ready after ${seconds} s`, lines: late.lastLines });
      return;
    }
    this.#phase = 'ready';
    for (const child of this.#children) child.look();
    this.#write('ready', { tookMs: Math.round(performance.now() - started) });
    this.#publish();
  }

  /** What is asked, or yes once the end has begun: then nobody waits for it any more. */
  async #over(asked) {
    return (await asked) || this.#ending !== undefined;
  }

  #wait(names) {
    const changed = names.join() !== this.#waitingFor.join();
    this.#waitingFor = names;
    if (changed) this.#publish();
  }

  #supervised(step) {
    return new Supervised(step, {
      secrets: this.#secrets,
      onLine: (name, line) => this.#log.append(`${name.padEnd(12)} ${line}`),
      log: (event, fields) => this.#write(event, fields),
      // Before it was ever ready its end is a fault to be shown, not one to be tried again.
      onEnd: ({ name, lastLines }, how) => {
        this.#write('child_ended', { child: name, how: String(how) });
        if (this.#phase === 'starting') {
          this.#end({ name, how: `ended by itself (${how})`, lines: lastLines });
        }
        return this.#ending === undefined;
      },
      onChange: () => this.#publish(),
    });
  }

  /** Stops all and then this process: in order after a signal, with code 1 after a fault `{ name, how, lines }`. */
  #end(cause) {
    this.#ending ??= this.#stopAll(cause).then(
      () => process.exit(cause.signal ? 0 : 1),
      (error) => this.#crash(error),
    );
  }

  async #stopAll(cause) {
    this.#phase = 'stopping';
    this.#write('stopping', { why: cause.signal ?? `${cause.name} ${cause.how}` });
    this.#publish();
    for (const child of this.#children) child.forget();
    const { stopTimeoutMs } = this.#settings;
    const started = performance.now();
    const ended = [];
    for (const [stage, share] of STAGE_ENDS.entries()) {
      const members = this.#children.filter((child) => child.stage === stage && child.running);
      ended.push(...members.map((child) => child.stop()));
      const rest = stopTimeoutMs * share - (performance.now() - started);
      await Promise.race([Promise.all(ended), delay(rest, undefined, { ref: false })]);
    }
    const late = this.#children.filter(({ running }) => running);
    for (const child of late) {
      this.#write('killing', { child: child.name });
      child.kill();
    }
    await Promise.race([Promise.all(ended), delay(AFTER_KILL_MS, undefined, { ref: false })]);
    this.#write('stopped', { killed: late.map(({ name }) => name).join(' ') });
    if (cause.signal) {
      removeState(this.#settings);
    } else {
      this.#phase = 'failed';
      this.#failure = cause;
      this.#publish();
    }
    removePidFile(this.#settings, this.#identity);
  }

  #look() {
    for (const child of this.#children) child.look();
    this.#log.reopenIfReplaced();
    this.#publish();
  }

  #publish() {
    const { pid, since } = this.#identity;
    const state = {
      runId: this.#runId,
      phase: this.#phase,
      supervisor: { pid, since },
      startedAt: this.#startedAt,
      addresses: addressesOf(this.#settings),
      waitingFor: this.#waitingFor,
      failure: this.#failure,
      children: this.#children.map((child) => child.describe()),
    };
    try {
      writeState(this.#settings, state);
    } catch (error) {
      // On a full disk the servers go on; it is written again in a few seconds.
      this.#write('state_not_written', { message: error.message });
    }
  }

  #write(event, fields) {
    const level = USUAL.includes(event) ? 'info' : 'warn';
    const line = { ts: new Date().toISOString(), level, service: 'supervisor', event, ...fields };
    this.#log.append(`${'supervisor'.padEnd(12)} ${this.#secrets.redact(JSON.stringify(line))}`);
  }

  /** A fault of our own: nothing may be left running that nobody watches. */
  #crash(error) {
    this.#write('supervisor_failed', { message: error.stack ?? String(error) });
    for (const child of this.#children) child.kill();
    removePidFile(this.#settings, this.#identity);
    process.exit(1);
  }
}

if (claimPidFile(readSettings())) new Supervisor().run();
else process.exit(TAKEN);
