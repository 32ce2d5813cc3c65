import type { Clock, Timer } from '@voice-fleet/runtime/clock';

export const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const PATCH_TIMEOUT_MS = 5_000;
/** Below every pod that may take sessions, those of which nothing is told included: they count as 0. */
const DRAINING = -1;

export interface DeletionCostDeps {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly sessions: () => number;
  readonly draining: () => boolean;
  /** Sets annotations of this pod. */
  readonly annotate: (
    annotations: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) => Promise<void>;
  readonly onOutcome: (outcome: 'told' | 'failed') => void;
  /** Of the first of several failures in a row. */
  readonly onError: (error: unknown) => void;
}

/**
 * Tells Kubernetes what the loss of this pod would cost, so that a Deployment that shrinks takes one that is idle: 0 idle, else
 * its sessions, -1 draining. The API server is not to be told of each session that comes and goes: numbers are rounded up to
 * powers of two, looked at once in each interval, and told when they have changed. A failure harms nothing; it is tried again
 * in the next interval.
 */
export class DeletionCost {
  readonly #deps: DeletionCostDeps;
  readonly #end = new AbortController();
  #timer: Timer | undefined;
  #told: number | undefined;
  #telling: Promise<void> | undefined;
  #failing = false;

  constructor(deps: DeletionCostDeps) {
    this.#deps = deps;
  }

  /** The first is told at once: the container before this one may have left another. */
  start(): void {
    const { clock, intervalMs } = this.#deps;
    this.#timer = clock.every(intervalMs, () => void this.tell());
    void this.tell();
  }

  /** Does not wait for the interval. Settles when it was told, or could not be. Never rejects. */
  tell(): Promise<void> {
    this.#telling ??= this.#tell().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  /** What is being told is given up. */
  stop(): void {
    this.#timer?.cancel();
    this.#end.abort(new Error('stopped'));
  }

  async #tell(): Promise<void> {
    const cost = this.#cost();
    if (cost === this.#told || this.#end.signal.aborted) return;
    const { clock, annotate, onOutcome, onError } = this.#deps;
    const late = new AbortController();
    const timer = clock.after(PATCH_TIMEOUT_MS, () => late.abort(new Error('no answer in time')));
    try {
      const signal = AbortSignal.any([late.signal, this.#end.signal]);
      await annotate({ [DELETION_COST]: String(cost) }, signal);
      this.#told = cost;
      this.#failing = false;
      onOutcome('told');
    } catch (error) {
      if (this.#end.signal.aborted) return;
      onOutcome('failed');
      if (!this.#failing) onError(late.signal.aborted ? late.signal.reason : error);
      this.#failing = true;
    } finally {
      timer.cancel();
    }
  }

  #cost(): number {
    if (this.#deps.draining()) return DRAINING;
    const sessions = this.#deps.sessions();
    return sessions === 0 ? 0 : 2 ** Math.ceil(Math.log2(sessions));
  }
}
