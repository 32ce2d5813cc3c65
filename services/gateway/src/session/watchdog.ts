import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { SessionLimits } from './limits.ts';

/** Ends sessions that are silent or old. Limits are met within one tick. An utterance under way is never idle. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #busy: () => boolean;
  readonly #onLimit: (kind: 'idle' | 'max-duration') => void;
  #startedMs = 0;
  #activeMs = 0;
  #timer: Timer | undefined;

  constructor(
    clock: Clock,
    limits: SessionLimits,
    busy: () => boolean,
    onLimit: (kind: 'idle' | 'max-duration') => void,
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.#busy = busy;
    this.#onLimit = onLimit;
  }

  start(): void {
    this.#startedMs = this.#clock.now();
    this.#activeMs = this.#startedMs;
    this.#timer = this.#clock.every(this.#limits.watchdogTickMs, () => this.#tick());
  }

  touch(): void {
    this.#activeMs = this.#clock.now();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #tick(): void {
    const nowMs = this.#clock.now();
    const { idleTimeoutMs, maxDurationMs } = this.#limits;
    if (maxDurationMs !== undefined && nowMs - this.#startedMs >= maxDurationMs)
      return this.#limitMet('max-duration');
    if (this.#busy()) this.#activeMs = nowMs;
    else if (idleTimeoutMs !== undefined && nowMs - this.#activeMs >= idleTimeoutMs)
      this.#limitMet('idle');
  }

  #limitMet(kind: 'idle' | 'max-duration'): void {
    this.stop();
    this.#onLimit(kind);
  }
}
