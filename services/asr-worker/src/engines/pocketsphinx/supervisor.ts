import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { EngineState } from '../engine.ts';
import { SphinxChild } from './child-process.ts';
import type { FromChild, ToChild } from './messages.ts';
import type { StreamReply } from './stream.ts';

/** The first read of the model from a slow disk included. */
const LOAD_TIMEOUT_MS = 60_000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5_000;
/** A child that lived this long was healthy: its death starts no series. */
const STABLE_MS = 30_000;
const MAX_FIRST_STARTS = 3;

export interface SupervisorDeps {
  readonly clock: Clock;
  readonly load: Extract<ToChild, { readonly kind: 'load' }>;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  /** A fresh child waits for streams. */
  readonly onReady: () => void;
  readonly onReply: (reply: StreamReply) => void;
  /** A child is gone with all it knew; another one follows. */
  readonly onDown: (why: string) => void;
}

/** Keeps one decoding process alive: starts it, kills it when told, and starts the next one ever later. */
export class Supervisor {
  readonly #deps: SupervisorDeps;
  #child: SphinxChild | undefined;
  #state: 'idle' | 'loading' | 'ready' | 'down' | 'stopped' = 'idle';
  /** Why the last child went, where it was not by itself. */
  #why: string | undefined;
  #deaths = 0;
  #readyAtMs = 0;
  #wasReady = false;
  #timer: Timer | undefined;
  #start: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get state(): EngineState {
    if (this.#state === 'idle') return 'uninitialized';
    if (this.#state === 'down') return 'loading';
    if (this.#state === 'stopped') return this.#why === undefined ? 'unloading' : 'error';
    return this.#state;
  }

  /** Why it is not ready. */
  get reason(): string | undefined {
    if (this.#state === 'ready') return undefined;
    if (this.#state === 'loading') return 'the speech model is loading';
    if (this.#state === 'down') return `the decoding process is started again: ${this.#why}`;
    return this.#why ?? `the engine is ${this.#state}`;
  }

  /** Settles with the first ready child. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#start = { resolve, reject };
      this.#fork();
    });
  }

  /** Lost while no child is ready: `onReady` is the time to say it all. */
  send(message: ToChild): void {
    if (this.#state === 'ready') this.#child?.send(message);
  }

  /** Ends the present child, which cannot be trusted any more. */
  replace(why: string): void {
    this.#why = why;
    this.#child?.kill();
  }

  /** Settles when no process is left. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#why = undefined;
    this.#timer?.cancel();
    this.#start?.reject(new Error('the engine was stopped while it started'));
    this.#start = undefined;
    await this.#child?.killed();
  }

  #fork(): void {
    this.#state = 'loading';
    this.#why = undefined;
    const child = new SphinxChild({
      onMessage: (message) => {
        // After `replace` or `stop` the old child may still be heard for a moment.
        if (this.#child === child && this.#state !== 'stopped') this.#receive(message);
      },
      onExit: (how) => this.#onExit(how),
    });
    this.#child = child;
    child.send(this.#deps.load);
    this.#timer = this.#deps.clock.after(LOAD_TIMEOUT_MS, () => this.replace('it did not load'));
  }

  #receive(message: FromChild): void {
    if (message.kind === 'ready') return this.#onReady();
    if (message.kind !== 'unusable') return this.#deps.onReply(message);
    this.replace(message.reason);
    if (!this.#wasReady) this.#giveUp(message.reason);
  }

  #onReady(): void {
    this.#timer?.cancel();
    this.#state = 'ready';
    this.#wasReady = true;
    this.#readyAtMs = this.#deps.clock.now();
    this.#deps.log('engine_ready', { engine: 'pocketsphinx', pid: this.#child?.pid });
    this.#deps.onReady();
    this.#start?.resolve();
    this.#start = undefined;
  }

  #onExit(how: string): void {
    if (this.#state === 'stopped') return;
    this.#timer?.cancel();
    const wasStable =
      this.#state === 'ready' && this.#deps.clock.now() - this.#readyAtMs > STABLE_MS;
    this.#deaths = wasStable ? 1 : this.#deaths + 1;
    this.#state = 'down';
    this.#why ??= how;
    const delayMs = Math.min(FIRST_BACKOFF_MS * 2 ** (this.#deaths - 1), LONGEST_BACKOFF_MS);
    this.#deps.log('engine_down', { engine: 'pocketsphinx', why: this.#why, restartInMs: delayMs });
    this.#deps.onDown(this.#why);
    if (!this.#wasReady && this.#deaths >= MAX_FIRST_STARTS) return this.#giveUp(this.#why);
    this.#timer = this.#deps.clock.after(delayMs, () => this.#fork());
  }

  #giveUp(why: string): void {
    this.#state = 'stopped';
    this.#why = why;
    this.#start?.reject(new Error(`the embedded speech engine does not start: ${why}`));
    this.#start = undefined;
  }
}
