import { CapacityEstimate } from './capacity-estimate.ts';
import type { FrameTick } from './engine-load.ts';
import { KvDemand } from './kv-demand.ts';

export interface CapacitySettings {
  /** Slots are never fewer, whatever is measured ... */
  readonly floor: number;
  /** ... nor more. */
  readonly ceiling: number;
  readonly start: number;
  /** p95 frame latency at which the engine counts as full: docs/adr/0011-capacity-loop.md. */
  readonly targetFrameLatencyMs: number;
  /** Part of the estimated capacity that is offered. */
  readonly headroom: number;
  /** Part of the KV pool that may be in use. */
  readonly kvLimit: number;
  /** Age at which a session's KV cost is full grown: the length of a segment. */
  readonly kvSettleMs: number;
  /** A level that failed is not tried again for this long, twice as long after each further failure. */
  readonly retryMs: number;
}

export const DEFAULT_CAPACITY: CapacitySettings = {
  floor: 1,
  ceiling: 128,
  start: 8,
  targetFrameLatencyMs: 165,
  headroom: 0.95,
  kvLimit: 0.9,
  kvSettleMs: 30_000,
  retryMs: 120_000,
};

/** A session whose oldest unanswered frame is older than this is behind. */
export const BEHIND_MS = 500;

/** What happened since the last sample. */
export interface CapacitySample {
  readonly tickMs: number;
  readonly inUse: number;
  /** Sessions behind by more than BEHIND_MS at the end of the tick. */
  readonly behind: number;
  /** Undefined when nothing was measured. */
  readonly frames: FrameTick | undefined;
  /** Of the engine's own metrics, undefined when they could not be read. Without `kvUsage` nothing grows. */
  readonly kvUsage: number | undefined;
  readonly waitingForCapacity: number | undefined;
  readonly preemptions: number | undefined;
  /** False: whatever is measured, no growth (the degrade ladder). */
  readonly mayGrow?: boolean;
}

/** Why the slots are what they are after the last sample: for logs and a metric label. */
export type CapacityReason =
  | 'start'
  | 'grown'
  | 'full'
  | 'no_demand'
  | 'no_data'
  | 'not_allowed'
  | 'slow'
  | 'bend'
  | 'kv'
  | 'overload'
  | 'recovering';

/** Beyond this factor of the target frames queue behind frames. */
const LATE = 1.5;
/** Growth stops in a tick this much over the target; when it stays there slots shrink. */
const SLOW = 1.1;
const MIN_FRAMES = 100;
/** Growth in one tick: while the engine is far from full, and from then on. */
const BIG_STEP = 0.15;
const SMALL_STEP = 0.03;
const LIGHT_LOAD = 0.3;
const LIGHT_KV = 0.3;
/** Part of the demonstrated capacity that stays after an overload, and the part that is tried again before `retryMs`. */
const AFTER_OVERLOAD = 0.93;
const BELOW_FAILURE = 0.95;
const MAX_RETRY_FACTOR = 64;
/** A bend is passed by only after three times `retryMs`: behind it may be a cliff. */
const BEND_RETRY_FACTOR = 3;

/** A level that the engine did not carry, or seems about not to. */
interface Failure {
  level: number;
  untilMs: number;
  readonly factor: number;
}

/**
 * How many sessions this worker offers, found by offering them. The only owner of that number. It knows no clock: time
 * is what the samples say.
 */
export class CapacityLoop {
  readonly #settings: CapacitySettings;
  readonly #estimate: CapacityEstimate;
  readonly #kv: KvDemand;
  #slots: number;
  #reason: CapacityReason = 'start';
  #nowMs = 0;
  #inUse = 0;
  #p95Ms = 0;
  #meanP95Ms = 0;
  #behind = 0;
  #failure: Failure | undefined;
  /** The overload that is going on: what the engine still carries, and the slots it began with. */
  #overload: { carried: number; readonly slotsBefore: number } | undefined;

  constructor(settings: CapacitySettings) {
    this.#settings = settings;
    this.#estimate = new CapacityEstimate(settings.targetFrameLatencyMs);
    this.#kv = new KvDemand(settings.kvSettleMs);
    this.#slots = Math.max(settings.floor, Math.min(settings.ceiling, settings.start));
  }

  /** May lie below the sessions in use: that ends no session, it only admits no other. */
  get slots(): number {
    return this.#slots;
  }

  get reason(): CapacityReason {
    return this.#reason;
  }

  /** Once per tick. */
  observe(sample: CapacitySample): void {
    if (!(sample.tickMs > 0)) return;
    this.#nowMs += sample.tickMs;
    this.#reason = this.#decide(sample);
  }

  #decide(sample: CapacitySample): CapacityReason {
    // Sessions came during the tick: its latencies belong to their mean number.
    const sessions = (this.#inUse + sample.inUse) / 2;
    this.#inUse = sample.inUse;
    if (sample.kvUsage !== undefined) this.#kv.observe(sample.tickMs, sample.inUse, sample.kvUsage);

    const frames = isMeasured(sample.frames) ? sample.frames : undefined;
    const { late, falling } = this.#lateness(sample, frames);
    const carried = this.#carried(sample, sessions, late && !falling ? frames : undefined);
    if (carried !== undefined) return this.#shrink(carried);
    if (late) return 'recovering';
    this.#overload = undefined;

    const { kvLimit } = this.#settings;
    const kvSessions = this.#kv.sessionsWithin(kvLimit);
    if ((sample.kvUsage ?? 0) > kvLimit && kvSessions < this.#slots) {
      this.#set(Math.floor(kvSessions));
      return 'kv';
    }
    if (!frames || frames.done < MIN_FRAMES || sessions === 0) return 'no_data';
    this.#estimate.observe(sessions, frames, sample.tickMs);
    if (this.#isSlow(sample, frames)) return 'slow';
    if (sample.kvUsage === undefined) return 'no_data';
    if (sample.mayGrow === false) return 'not_allowed';
    return this.#grow(sample, sessions, kvSessions);
  }

  /** Whether frames queue, and whether the queue is being worked off. */
  #lateness(
    { inUse, behind }: CapacitySample,
    frames: FrameTick | undefined,
  ): { late: boolean; falling: boolean } {
    const p95Ms = frames?.p95Ms ?? 0;
    const frameLate = p95Ms > LATE * this.#settings.targetFrameLatencyMs;
    // A single one has a trouble of its own.
    const manyBehind = behind >= Math.max(2, 0.02 * inUse);
    const falling = frameLate ? p95Ms < 0.97 * this.#p95Ms : behind < this.#behind;
    this.#p95Ms = p95Ms;
    this.#behind = behind;
    return { late: frameLate || manyBehind, falling };
  }

  /** Sessions the overloaded engine keeps up with; undefined: it is not overloaded. */
  #carried(
    sample: CapacitySample,
    sessions: number,
    lateFrames: FrameTick | undefined,
  ): number | undefined {
    // All of them were served too slowly by as much as the answers lag behind the audio.
    const served = lateFrames && sessions * Math.min(1, lateFrames.done / lateFrames.due);
    if (served !== undefined) return served;
    const starved = (sample.waitingForCapacity ?? 0) > 0 || (sample.preemptions ?? 0) > 0;
    return starved ? sessions : undefined;
  }

  #shrink(carried: number): CapacityReason {
    if (!this.#overload) {
      this.#overload = { carried, slotsBefore: this.#slots };
      this.#fail(carried, 1);
      this.#estimate.forget();
    }
    const overload = this.#overload;
    overload.carried += (carried - overload.carried) * 0.3;
    if (this.#failure) {
      this.#failure.level = overload.carried;
      this.#failure.untilMs = this.#nowMs + this.#failure.factor * this.#settings.retryMs;
    }
    this.#set(Math.min(overload.slotsBefore, Math.floor(AFTER_OVERLOAD * overload.carried)));
    return 'overload';
  }

  /** Over the target, if only slightly: no growth, and less when it stays so. */
  #isSlow({ inUse }: CapacitySample, { p95Ms }: FrameTick): boolean {
    const { targetFrameLatencyMs: targetMs, headroom } = this.#settings;
    this.#meanP95Ms += (Math.min(p95Ms, LATE * targetMs) - this.#meanP95Ms) * 0.2;
    const { sessions } = this.#estimate;
    const tooMany = this.#slots > sessions && inUse > 0.85 * sessions;
    // With frames that do not queue yet the engine is hardly over: the estimate alone may take too much.
    const fewer = Math.max(headroom * sessions, AFTER_OVERLOAD * inUse);
    if (tooMany && this.#meanP95Ms > SLOW * targetMs)
      this.#set(Math.min(this.#slots, Math.floor(fewer)));
    return p95Ms > SLOW * targetMs;
  }

  #grow(sample: CapacitySample, sessions: number, kvSessions: number): CapacityReason {
    const { ceiling, headroom } = this.#settings;
    const estimate = this.#estimate;
    if (sample.inUse < Math.min(this.#slots - 1, 0.93 * this.#slots)) return 'no_demand';
    const lightLoad = estimate.load > 0 ? estimate.load <= LIGHT_LOAD : !estimate.busy;
    const light = lightLoad && (sample.kvUsage ?? 1) <= LIGHT_KV;
    let step = Math.max(1, Math.floor(this.#slots * (light ? BIG_STEP : SMALL_STEP)));
    let limit = Math.min(ceiling, headroom * estimate.sessions, 0.98 * kvSessions);
    const failure = this.#failure;
    if (failure && this.#nowMs < failure.untilMs)
      limit = Math.min(limit, BELOW_FAILURE * failure.level);
    else if (failure && this.#slots > 1.05 * failure.level) this.#failure = undefined;
    else if (failure && this.#slots > 0.9 * failure.level) step = 1;

    const { bend } = estimate;
    if (bend === 'slight') step = 1;
    if (bend === 'clear' || bend === 'steep') {
      const unexplained = sessions < 0.9 * estimate.recentSessions;
      const known = this.#failure !== undefined && this.#nowMs < this.#failure.untilMs;
      if (bend === 'steep' && unexplained && !known)
        this.#fail(this.#slots / BELOW_FAILURE, BEND_RETRY_FACTOR);
      return 'bend';
    }
    if (estimate.oddTick && estimate.load > LIGHT_LOAD) return 'bend';

    const room = Math.floor(limit) - this.#slots;
    if (room <= 0) return 'full';
    this.#set(this.#slots + Math.min(step, Math.ceil(room / 2)));
    return 'grown';
  }

  #fail(level: number, firstFactor: number): void {
    const factor = Math.max(firstFactor, (this.#failure?.factor ?? 0) * 2);
    const capped = Math.min(MAX_RETRY_FACTOR, factor);
    const untilMs = this.#nowMs + capped * this.#settings.retryMs;
    this.#failure = { level, untilMs, factor: capped };
  }

  #set(slots: number): void {
    this.#slots = Math.max(this.#settings.floor, Math.min(this.#settings.ceiling, slots));
  }
}

function isMeasured(frames: FrameTick | undefined): frames is FrameTick {
  return frames !== undefined && frames.p50Ms > 0 && frames.p95Ms > 0 && frames.due > 0;
}
