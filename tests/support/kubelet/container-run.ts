import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import { ContainerProcess, type Exit, type Program } from './container-process.ts';
import type { Container, Probe } from './objects.ts';
import { ProbeLoop } from './probe-loop.ts';

const MS = 1000;
/** Between the second restart and its exit; twice as long each time, and none before the first restart. */
const BACK_OFF_MS = 10_000;
const BACK_OFF_MAX_MS = 300_000;
/** One that ran for so long is not in a loop. */
const BACK_OFF_RESET_MS = 600_000;
/** A container has so long to end, even when its hook and those before it took all the grace. */
const LEAST_GRACE_MS = 2_000;

export type ProbeKind = 'startup' | 'readiness' | 'liveness';
const PROBES = ['startup', 'readiness', 'liveness'] as const;

/** One run that is over. */
export interface ContainerExit extends Exit {
  readonly pod: string;
  readonly container: string;
  /** Who ended it; undefined: it has ended by itself. */
  readonly asked: 'deletion' | 'startup' | 'liveness' | undefined;
  /** It did not end in its grace, and got SIGKILL. */
  readonly killed: boolean;
  /** From being asked to its end, hook included. */
  readonly tookMs: number;
  /** How its preStop hook ended, if it has one and was asked. */
  readonly preStop: Exit | undefined;
}

export interface ContainerRunOptions {
  readonly clock: Clock;
  readonly pod: string;
  readonly container: Container;
  readonly restarts: 'Always' | 'OnFailure' | 'Never';
  readonly graceMs: number;
  /** Made anew for each run. `command`: of a hook or a probe, in place of the container's own. */
  readonly program: (command?: readonly string[]) => Program;
  readonly attempt: (probe: Probe, signal: AbortSignal) => Promise<boolean>;
  /** Called when it has started, is ready, has ended, or any of that is no longer so. */
  readonly onChange: () => void;
  readonly onExit: (exit: ContainerExit) => void;
}

interface Kill {
  readonly asked: NonNullable<ContainerExit['asked']>;
  readonly atMs: number;
  readonly exited: Promise<void>;
  killed: boolean;
  preStop: Exit | undefined;
}

/** A container over all its restarts. */
export class ContainerRun {
  readonly name: string;
  /** Its startup probe has passed, or it runs and has none. */
  started = false;
  ready = false;
  /** It will not run again. */
  over = false;
  restarts = 0;
  /** Tries of each probe over all runs, by how they went. */
  readonly tries: Record<ProbeKind, { well: number; ill: number }> = {
    startup: { well: 0, ill: 0 },
    readiness: { well: 0, ill: 0 },
    liveness: { well: 0, ill: 0 },
  };
  /** Everything it wrote. */
  readonly lines: string[] = [];
  lastExit: Exit | undefined;
  readonly #options: ContainerRunOptions;
  readonly #loops = new Map<ProbeKind, ProbeLoop>();
  #process: ContainerProcess | undefined;
  #startedMs = 0;
  #kill: Kill | undefined;
  #stopping = false;
  #backOff: Timer | undefined;
  #backOffMs = 0;

  constructor(options: ContainerRunOptions) {
    this.#options = options;
    this.name = options.container.name;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  /** Probes that it has, and that no try has ever passed. */
  get unproven(): ProbeKind[] {
    const { container } = this.#options;
    return PROBES.filter((kind) => container[`${kind}Probe`] && this.tries[kind].well === 0);
  }

  start(): void {
    const { clock, container, program } = this.#options;
    this.#startedMs = clock.now();
    const running = new ContainerProcess(program(), (line) => this.lines.push(line));
    this.#process = running;
    void running.exited.then((exit) => this.#onExit(exit));
    if (container.startupProbe) this.#watch('startup', container.startupProbe);
    else this.#onStarted();
  }

  /**
   * Ends it as the deletion of its pod does: hook, then its turn, then SIGTERM, and SIGKILL after the grace, which covers all.
   * Settles when it is over.
   */
  async stop(graceMs: number, turn: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.#stopping = true;
    this.#backOff?.cancel();
    // It serves on: readiness is still asked for, and whether it lives is no question any more.
    this.#unwatch('startup');
    this.#unwatch('liveness');
    if (this.#process !== undefined) await this.#end('deletion', graceMs, turn);
    if (!this.over) this.#finish();
  }

  /** Ends it, and all that it has started, where it stands. */
  kill(): void {
    this.#process?.signal('SIGKILL');
  }

  #onStarted(): void {
    const { container, onChange } = this.#options;
    this.started = true;
    this.#unwatch('startup');
    if (container.livenessProbe && !this.#stopping)
      this.#watch('liveness', container.livenessProbe);
    if (container.readinessProbe) this.#watch('readiness', container.readinessProbe);
    else this.ready = true;
    onChange();
  }

  #watch(kind: ProbeKind, probe: Probe): void {
    const { clock, attempt } = this.#options;
    const ageMs = clock.now() - this.#startedMs;
    const loop = new ProbeLoop({
      clock,
      probe,
      ageMs,
      attempt: (signal) => attempt(probe, signal),
      onTry: (well) => {
        this.tries[kind][well ? 'well' : 'ill'] += 1;
      },
      onVerdict: (well) => this.#onVerdict(kind, well),
    });
    this.#loops.set(kind, loop);
  }

  #unwatch(kind: ProbeKind): void {
    this.#loops.get(kind)?.stop();
    this.#loops.delete(kind);
  }

  #onVerdict(kind: ProbeKind, well: boolean): void {
    switch (kind) {
      case 'readiness':
        if (this.ready === well) return;
        this.ready = well;
        return this.#options.onChange();
      case 'startup':
        if (well) return this.#onStarted();
        break;
      case 'liveness':
        if (well) return;
        break;
    }
    this.#unwatch(kind);
    void this.#end(kind, this.#options.graceMs);
  }

  /** Settles when this run has ended. */
  async #end(
    asked: Kill['asked'],
    graceMs: number,
    turn: Promise<unknown> = Promise.resolve(),
  ): Promise<void> {
    const running = this.#process;
    if (running === undefined) return;
    // It is being ended already, and that is waited for.
    if (this.#kill) return this.#kill.exited;
    const { clock } = this.#options;
    const atMs = clock.now();
    const over = new AbortController();
    const exited = running.exited.then(() => over.abort());
    const kill: Kill = { asked, atMs, exited, killed: false, preStop: undefined };
    this.#kill = kill;
    const leftMs = (): number => atMs + graceMs - clock.now();
    const patience = (ms: number): Promise<void> => sleep(clock, ms, over.signal).catch(() => {});
    kill.preStop = await this.#preStop(graceMs, over.signal);
    if (leftMs() > 0) {
      const done = new AbortController();
      const late = AbortSignal.any([over.signal, done.signal]);
      await Promise.race([turn, sleep(clock, leftMs(), late).catch(() => {})]);
      done.abort();
    }
    running.signal('SIGTERM');
    await patience(Math.max(leftMs(), LEAST_GRACE_MS));
    if (!over.signal.aborted) {
      kill.killed = true;
      running.signal('SIGKILL');
    }
    await exited;
  }

  async #preStop(graceMs: number, over: AbortSignal): Promise<Exit | undefined> {
    const { clock, container, program } = this.#options;
    const hook = container.lifecycle?.preStop;
    if (hook === undefined || graceMs <= 0) return undefined;
    if (hook.sleep) {
      await sleep(clock, Math.min(hook.sleep.seconds * MS, graceMs), over).catch(() => {});
      return { code: 0, signal: null };
    }
    const run = new ContainerProcess(program(hook.exec?.command), (line) => this.lines.push(line));
    const done = new AbortController();
    const late = AbortSignal.any([over, done.signal]);
    const end = run.exited.finally(() => done.abort());
    // What runs in a container ends with it, or with the grace.
    void sleep(clock, graceMs, late).then(
      () => run.signal('SIGKILL'),
      () => run.signal('SIGKILL'),
    );
    return end;
  }

  #onExit(exit: Exit): void {
    const { clock, pod, restarts, onExit, onChange } = this.#options;
    const kill = this.#kill;
    this.#process = undefined;
    this.#kill = undefined;
    for (const kind of PROBES) this.#unwatch(kind);
    this.started = false;
    this.ready = false;
    this.lastExit = exit;
    onExit({
      ...exit,
      pod,
      container: this.name,
      asked: kill?.asked,
      killed: kill?.killed ?? false,
      tookMs: kill ? clock.now() - kill.atMs : 0,
      preStop: kill?.preStop,
    });
    const again = restarts === 'Always' || (restarts === 'OnFailure' && exit.code !== 0);
    if (this.#stopping || !again) return this.#finish();
    onChange();
    this.#restart();
  }

  #restart(): void {
    const { clock } = this.#options;
    if (clock.now() - this.#startedMs >= BACK_OFF_RESET_MS) this.#backOffMs = 0;
    this.#backOff = clock.after(this.#backOffMs, () => {
      this.restarts += 1;
      this.start();
    });
    this.#backOffMs = Math.min(Math.max(BACK_OFF_MS, this.#backOffMs * 2), BACK_OFF_MAX_MS);
  }

  #finish(): void {
    this.over = true;
    this.#options.onChange();
  }
}
