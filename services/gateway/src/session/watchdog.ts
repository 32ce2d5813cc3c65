import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { SessionLimits } from './limits.ts';

/** Parts of the longest duration at which a session is warned. */
const WARNINGS = [0.8, 0.95];

export interface WatchdogListener {
  onLimit(kind: 'idle' | 'max-duration'): void;
  onWarning(usedS: number, maxS: number): void;
}

/** Ends sessions that are silent or old. Limits are met within one tick. An utterance under way is never idle. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #busy: () => boolean;
  readonly #listener: WatchdogListener;
  #startedMs = 0;
  #warned = 0;
  #activeMs = 0;
  #timer: Timer | undefined;

  constructor(
    clock: Clock,
    limits: SessionLimits,
    busy: () => boolean,
    listener: WatchdogListener,
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.#busy = busy;
    this.#listener = listener;
  }

  /** `ageMs`: what the session has lived already, elsewhere. */
  start(ageMs = 0): void {
    this.#activeMs = this.#clock.now();
    this.#startedMs = this.#activeMs - ageMs;
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
    if (maxDurationMs !== undefined) this.#warn(nowMs - this.#startedMs, maxDurationMs);
    if (this.#busy()) this.#activeMs = nowMs;
    else if (idleTimeoutMs !== undefined && nowMs - this.#activeMs >= idleTimeoutMs)
      this.#limitMet('idle');
  }

  #warn(ageMs: number, maxMs: number): void {
    const met = WARNINGS.filter((part) => ageMs >= part * maxMs).length;
    if (met <= this.#warned) return;
    this.#warned = met;
    this.#listener.onWarning(Math.floor(ageMs / 1000), maxMs / 1000);
  }

  #limitMet(kind: 'idle' | 'max-duration'): void {
    this.stop();
    this.#listener.onLimit(kind);
  }
}
