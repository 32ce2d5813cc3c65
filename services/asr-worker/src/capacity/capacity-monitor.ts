import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { AsrEngine } from '../engines/engine.ts';
import { CapacityLoop, type CapacityReason, type CapacitySettings } from './capacity-loop.ts';
import {
  advertisedSlots,
  DegradeLadder,
  type DegradeLevel,
  PERMISSIONS,
} from './degrade-ladder.ts';
import { realTimeFactor } from './engine-load.ts';
import { type HealthStatus, healthStatus, RTF_WARNING } from './health-status.ts';

/** Batch jobs on the engine. They take whatever it gives, so what is measured with them tells nothing of sessions. */
export interface CapacityJobs {
  /** Whether there were any since this was last asked. */
  readonly ran: () => boolean;
  /** Sessions feel them. */
  readonly rest: () => void;
}

export interface CapacityDeps {
  readonly clock: Clock;
  readonly engine: AsrEngine;
  readonly settings: CapacitySettings;
  readonly tickMs: number;
  /** More than 0: the slots, whatever is measured. */
  readonly fixedSlots: number;
  /** Sessions linked now. */
  readonly inUse: () => number;
  /** Default: there are none. */
  readonly jobs?: CapacityJobs;
  readonly onChange: (slots: number, why: CapacityReason, level: DegradeLevel) => void;
  /** The engine could not be asked; the next tick tries again. */
  readonly onError: (error: unknown) => void;
}

/** Asks the engine once per tick how it fares, and says how many sessions this worker offers and whether it takes any. */
export class CapacityMonitor {
  readonly #deps: CapacityDeps;
  readonly #loop: CapacityLoop;
  readonly #ladder: DegradeLadder;
  #timer: Timer | undefined;
  #tickAtMs = 0;
  #busy = false;
  /** Whether the engine tells of its load; others are offered as they say. */
  #measured = false;
  #realtimeFactor: number | undefined;
  /** Whose load the ladder knows. */
  #measuredEngine = '';
  #toldLevel: DegradeLevel = 'normal';

  constructor(deps: CapacityDeps) {
    this.#deps = deps;
    this.#loop = new CapacityLoop(deps.settings);
    this.#ladder = new DegradeLadder(deps.clock);
  }

  start(): void {
    this.#tickAtMs = this.#deps.clock.now();
    this.#measuredEngine = this.#deps.engine.name;
    this.#timer ??= this.#deps.clock.every(this.#deps.tickMs, () => void this.#tick());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Sessions to advertise. */
  get slots(): number {
    const { fixedSlots, engine, inUse } = this.#deps;
    if (fixedSlots > 0) return fixedSlots;
    const slots = this.#measured ? this.#loop.slots : engine.slots;
    return advertisedSlots(slots, inUse(), this.level);
  }

  /** Whether new sessions may come at all. */
  get ready(): boolean {
    return this.#deps.fixedSlots > 0 || PERMISSIONS[this.level].ready;
  }

  get level(): DegradeLevel {
    // Since the last tick the engine may have been lost, or be back.
    if (this.#isLost) return 'failover';
    return this.#ladder.level === 'failover' ? 'normal' : this.#ladder.level;
  }

  get status(): HealthStatus {
    if (this.#isLost) return 'error';
    const work = this.#deps.engine.work?.();
    return healthStatus(this.#realtimeFactor ?? work?.realtimeFactor, work?.consecutiveErrors ?? 0);
  }

  /** It was ready when the ticks began. One that comes back by itself is `loading` then, not in `error`. */
  get #isLost(): boolean {
    return this.#timer !== undefined && this.#deps.engine.health().state !== 'ready';
  }

  async #tick(): Promise<void> {
    // A slow answer of the engine's metrics must not pile up ticks.
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#observe();
    } catch (error) {
      this.#deps.onError(error);
    } finally {
      this.#busy = false;
    }
  }

  async #observe(): Promise<void> {
    const { clock, engine, inUse, jobs, onChange } = this.#deps;
    const load = await engine.measure?.();
    // It was stopped meanwhile.
    if (this.#timer === undefined) return;
    const nowMs = clock.now();
    const tickMs = nowMs - this.#tickAtMs;
    this.#tickAtMs = nowMs;
    const slotsBefore = this.slots;
    this.#measured = load !== undefined;
    this.#realtimeFactor = load?.frames ? realTimeFactor(load.frames, tickMs) : undefined;
    if (this.#isLost) this.#ladder.providerFailed();
    else if (this.#ladder.level === 'failover' || engine.name !== this.#measuredEngine)
      this.#ladder.reset();
    this.#measuredEngine = engine.name;
    const withJobs = jobs?.ran() ?? false;
    if (withJobs && inUse() > 0 && (this.#realtimeFactor ?? 0) >= RTF_WARNING) jobs?.rest();
    const level = this.#ladder.observe(withJobs ? undefined : this.#realtimeFactor);
    if (load !== undefined && !withJobs)
      this.#loop.observe({
        ...load,
        tickMs,
        inUse: inUse(),
        mayGrow: PERMISSIONS[level].mayGrow,
      });
    if (this.slots === slotsBefore && level === this.#toldLevel) return;
    this.#toldLevel = level;
    onChange(this.slots, this.#loop.reason, level);
  }
}
