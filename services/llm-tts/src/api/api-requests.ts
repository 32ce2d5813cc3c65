import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';

export const API_ROUTES = ['speech', 'chat'] as const;
export type ApiRoute = (typeof API_ROUTES)[number];

export const API_OUTCOMES = ['served', 'failed', 'refused', 'cancelled'] as const;
export type ApiOutcome = (typeof API_OUTCOMES)[number];

/** What is counted of requests. */
export interface ApiStats {
  onActive(count: number): void;
  onEnd(route: ApiRoute, outcome: ApiOutcome): void;
}

export interface ApiRequestsDeps {
  readonly clock: Clock;
  readonly stats: ApiStats;
  /** Requests at once; more are refused. */
  readonly maxActive: number;
}

const RETRY_AFTER_S = 1;

/** The requests for speech and chat under way: how many there may be, and what became of each. */
export class ApiRequests {
  readonly #deps: ApiRequestsDeps;
  readonly #active = new Set<AbortController>();
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  constructor(deps: ApiRequestsDeps) {
    this.#deps = deps;
  }

  get active(): number {
    return this.#active.size;
  }

  /**
   * Does `work` as one request; its signal aborts with `gone`, and when this service stops. Rejects with `at_capacity` when as many
   * are under way as may be, and with whatever `work` does.
   */
  async run(
    route: ApiRoute,
    gone: AbortSignal,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { stats, maxActive } = this.#deps;
    if (this.#isDraining || this.#active.size >= maxActive) {
      stats.onEnd(route, 'refused');
      throw new VoiceError('at_capacity', {
        message: 'As many requests are under way as may be. Try again shortly.',
        details: { retry_after_s: RETRY_AFTER_S },
      });
    }
    const stopped = new AbortController();
    this.#active.add(stopped);
    stats.onActive(this.#active.size);
    let outcome: ApiOutcome = 'served';
    try {
      await work(AbortSignal.any([gone, stopped.signal]));
    } catch (error) {
      outcome = gone.aborted ? 'cancelled' : outcomeOf(error);
      throw error;
    } finally {
      this.#active.delete(stopped);
      stats.onActive(this.#active.size);
      stats.onEnd(route, outcome);
      if (this.#active.size === 0) this.#onEmpty?.();
    }
  }

  /** Takes no more requests. Settles when the last has ended; those that have not by `timeoutMs` are cut off. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    if (this.#active.size === 0) return;
    const timer = this.#deps.clock.after(timeoutMs, () => {
      for (const one of this.#active) one.abort(new Error('this service stops'));
    });
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    timer.cancel();
  }
}

/** A client's own mistake is refused, all else has failed. */
function outcomeOf(error: unknown): ApiOutcome {
  return error instanceof VoiceError && error.tier === 'client_mistake' ? 'refused' : 'failed';
}
