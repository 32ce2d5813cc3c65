import type { Clock } from '@voice-fleet/runtime/clock';
import { RTF_CRITICAL, RTF_DEGRADED, RTF_WARNING } from './health-status.ts';

/** From all well to no engine. None of them drops audio. */
export const DEGRADE_LEVELS = ['normal', 'warning', 'degrade', 'emergency', 'failover'] as const;
export type DegradeLevel = (typeof DEGRADE_LEVELS)[number];

/** What a level allows. The number of slots stays CapacityLoop's: a level only says no. */
export interface Permissions {
  /** `mayGrow` of the loop's sample. */
  readonly mayGrow: boolean;
  /** No: advertise no more slots than are in use. */
  readonly mayAdmit: boolean;
  /** No: this worker is not ready for sessions; those it has stay. */
  readonly ready: boolean;
}

export const PERMISSIONS: Readonly<Record<DegradeLevel, Permissions>> = {
  normal: { mayGrow: true, mayAdmit: true, ready: true },
  warning: { mayGrow: false, mayAdmit: true, ready: true },
  degrade: { mayGrow: false, mayAdmit: false, ready: true },
  emergency: { mayGrow: false, mayAdmit: false, ready: false },
  failover: { mayGrow: false, mayAdmit: false, ready: false },
};

/** A level lasts this long, however the load jumps. */
export const DWELL_MS = 10_000;
const RECOVERY_WINDOW_MS = 30_000;
const RECOVERED_RTF = 0.7;

/** The slots to advertise: those of the loop, unless the level admits nobody. */
export function advertisedSlots(slots: number, inUse: number, level: DegradeLevel): number {
  return PERMISSIONS[level].mayAdmit ? slots : Math.min(slots, inUse);
}

/**
 * Level of degradation from the real-time factor. Up at once to what the load calls for, down one level at a time when
 * the mean of 30 s is low; a provider error is `failover` at once, until `reset`.
 */
export class DegradeLadder {
  readonly #clock: Clock;
  #level: DegradeLevel = 'normal';
  #sinceMs: number;
  #providerFailed = false;
  #window: { readonly atMs: number; readonly factor: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  get level(): DegradeLevel {
    return this.#level;
  }

  /** Once per tick; undefined when nothing was measured, which says nothing about the load but lets old values expire. */
  observe(realTimeFactor: number | undefined): DegradeLevel {
    const nowMs = this.#clock.now();
    if (realTimeFactor !== undefined && Number.isFinite(realTimeFactor))
      this.#window.push({ atMs: nowMs, factor: realTimeFactor });
    this.#window = this.#window.filter(({ atMs }) => nowMs - atMs < RECOVERY_WINDOW_MS);
    if (this.#providerFailed || nowMs - this.#sinceMs < DWELL_MS) return this.#level;
    const called = levelFor(realTimeFactor);
    if (rank(called) > rank(this.#level)) this.#enter(called);
    else if (this.#level !== 'normal' && this.#recovered(nowMs))
      this.#enter(DEGRADE_LEVELS[rank(this.#level) - 1] ?? 'normal');
    return this.#level;
  }

  /** The engine itself failed: it cannot be reached, or ends every stream. */
  providerFailed(): void {
    this.#providerFailed = true;
    if (this.#level !== 'failover') this.#enter('failover');
  }

  /** The engine was loaded anew, or is another one: nothing that was measured before is true of it. */
  reset(): void {
    this.#providerFailed = false;
    this.#window = [];
    this.#enter('normal');
  }

  /** All of the last 30 s at this level count, and an engine without load has recovered too. */
  #recovered(nowMs: number): boolean {
    if (this.#window.length === 0) return nowMs - this.#sinceMs >= RECOVERY_WINDOW_MS;
    const sum = this.#window.reduce((total, { factor }) => total + factor, 0);
    return sum / this.#window.length < RECOVERED_RTF;
  }

  #enter(level: DegradeLevel): void {
    this.#level = level;
    this.#sinceMs = this.#clock.now();
  }
}

function levelFor(realTimeFactor: number | undefined): DegradeLevel {
  const factor = realTimeFactor ?? 0;
  if (factor >= RTF_CRITICAL) return 'emergency';
  if (factor >= RTF_DEGRADED) return 'degrade';
  return factor >= RTF_WARNING ? 'warning' : 'normal';
}

function rank(level: DegradeLevel): number {
  return DEGRADE_LEVELS.indexOf(level);
}
