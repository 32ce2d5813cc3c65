import { backoffMs } from '@voice-fleet/runtime/backoff';
import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import { StreamFault } from '../engine.ts';
import { Upstream, type UpstreamOptions } from './upstream.ts';

/** vLLM's server drops a peer that is silent to its own pings for 20 s; ours find a dead one no later. */
const PING_INTERVAL_MS = 10_000;
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;
/** A connection that is closed sooner was as good as refused. */
const SHORT_LIFE_MS = 1_000;

export interface PoolStats {
  onSpares(count: number): void;
  onTake(from: 'spare' | 'dial'): void;
  onDial(outcome: 'connected' | 'failed'): void;
  onClosed(code: number): void;
}

export interface PoolDeps extends UpstreamOptions {
  readonly clock: Clock;
  /** Connections kept ready. */
  readonly spares: number;
  readonly stats: PoolStats;
}

/**
 * Validated connections to vLLM, ready for an utterance: a dial would cost the first words their latency. An utterance
 * that ended well gives its connection back; a cancelled one closes it, and a spare takes its place.
 */
export class UpstreamPool {
  readonly #deps: PoolDeps;
  readonly #stopped = new AbortController();
  #spares: Upstream[] = [];
  #filling = false;
  /** Connections in a row that were made and closed at once. */
  #shortLived = 0;
  #pings: Timer | undefined;

  constructor(deps: PoolDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#pings ??= this.#deps.clock.every(PING_INTERVAL_MS, () => this.#ping());
    this.#fill();
  }

  /**
   * Settles with a connection for one utterance; rejects with a StreamFault. `traceparent` is for one that must be dialled: a
   * spare was there before the utterance.
   */
  async take(signal: AbortSignal, traceparent?: string): Promise<Upstream> {
    const spare = this.#spares.findLast((upstream) => upstream.idle);
    if (spare) {
      this.#spares = this.#spares.filter((upstream) => upstream !== spare && upstream.idle);
      this.#deps.stats.onTake('spare');
      this.#fill();
      return spare;
    }
    this.#deps.stats.onTake('dial');
    return this.#dial(signal, traceparent);
  }

  /** Takes back a connection whose utterance is over. */
  give(upstream: Upstream): void {
    this.#shortLived = 0;
    this.#keepOrClose(upstream);
  }

  #keepOrClose(upstream: Upstream): void {
    const wanted = !this.#stopped.signal.aborted && this.#spares.length < this.#deps.spares;
    if (!wanted || !upstream.idle) return upstream.close();
    this.#spares.push(upstream);
    this.#deps.stats.onSpares(this.#spares.length);
  }

  stop(): void {
    this.#stopped.abort(new StreamFault('unreachable', 'the engine was stopped'));
    this.#pings?.cancel();
    for (const upstream of this.#spares.splice(0)) upstream.close();
    this.#deps.stats.onSpares(0);
  }

  async #dial(signal: AbortSignal, traceparent?: string): Promise<Upstream> {
    const { stats, clock } = this.#deps;
    let connectedAtMs = Number.NEGATIVE_INFINITY;
    try {
      this.#stopped.signal.throwIfAborted();
      const upstream = await Upstream.dial(
        {
          ...this.#deps,
          traceparent,
          onClosed: (code) => {
            stats.onClosed(code);
            if (clock.now() - connectedAtMs < SHORT_LIFE_MS) this.#shortLived += 1;
            this.#dropClosed();
          },
        },
        signal,
      );
      stats.onDial('connected');
      connectedAtMs = clock.now();
      return upstream;
    } catch (error) {
      stats.onDial('failed');
      throw error;
    }
  }

  #dropClosed(): void {
    const before = this.#spares.length;
    this.#spares = this.#spares.filter((upstream) => upstream.idle);
    if (this.#spares.length < before) this.#fill();
  }

  #fill(): void {
    this.#deps.stats.onSpares(this.#spares.length);
    if (this.#filling || this.#stopped.signal.aborted) return;
    this.#filling = true;
    void this.#dialSpares().finally(() => {
      this.#filling = false;
    });
  }

  /** One after the other, with growing waits while vLLM refuses, or closes what it has accepted. */
  async #dialSpares(): Promise<void> {
    const { signal } = this.#stopped;
    for (let failures = 0; this.#spares.length < this.#deps.spares && !signal.aborted; ) {
      const inVain = failures + this.#shortLived;
      if (inVain > 0) {
        const waitMs = backoffMs(inVain - 1, FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS);
        await sleep(this.#deps.clock, waitMs, signal).catch(() => undefined);
      }
      try {
        this.#keepOrClose(await this.#dial(signal));
        failures = 0;
      } catch {
        failures += 1;
      }
    }
  }

  #ping(): void {
    for (const upstream of this.#spares) if (!upstream.ping()) upstream.close();
    this.#dropClosed();
  }
}
