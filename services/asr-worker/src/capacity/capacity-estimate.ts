import { type FrameTick, stepMs } from './engine-load.ts';

/** 95 % of frames wait no more than this many steps when steps vary by 20 %; 1.95 when all are alike. */
const P95_STEPS = 2.06;
/** The same with some slack: a tail beyond it counts as a slower step. */
const P95_STEPS_AT_MOST = 2.2;
/** Frames that arrive during one step, at least, for an engine that is surely never idle. */
const BUSY = 2.5;
/** Loads up to this factor of the lowest count as the same low load. */
const SAME_LOAD = 1.2;
/** Weight that each tick leaves of those before it: some 14 ticks, and 2. */
const SLOW = 0.93;
const FAST = 0.5;
const MAX_WEIGHT = 9;
const MIN_WEIGHT = 0.001;
/** A step this much longer than the line says is a bend in the line ... */
const BEND = 0.05;
/** ... and this much, one that can be no chance. */
const STEEP_BEND = 0.15;
/** Within a bend the line stands still for this many ticks, so that the bend does not become the line. */
const MAX_BEND_TICKS = 24;
/** A single tick so far off is looked at again before anything is built on it. */
const ODD = 0.06;
/** This much below the line for this many ticks: the engine has become faster, what was learned is void. */
const FASTER = -0.2;
const FASTER_TICKS = 4;

interface Mean {
  weight: number;
  sum: number;
}

/**
 * How many sessions an engine can serve, from what it did so far. With steps of a + b x sessions served, and each session
 * bringing a frame every 80 ms, 1/step falls in a straight line with the number of sessions. Two points give the line,
 * the longest allowed step the number of sessions. An engine that leaves its line has another limit, still unseen.
 */
export class CapacityEstimate {
  readonly #fullStepMs: number;
  #low: { sessions: number; stepMs: number; fewest: number } | undefined;
  #slow: Mean = { weight: 0, sum: 0 };
  #fast: Mean = { weight: 0, sum: 0 };
  #offLine = 0;
  #noise = 0.02;
  #odd = 0;
  #usualTail = 0;
  #bendTicks = 0;
  #fasterTicks = 0;
  #load = 0;
  #busy = false;

  /** `fullFrameLatencyMs`: the p95 frame latency at which the engine counts as full. */
  constructor(fullFrameLatencyMs: number) {
    this.#fullStepMs = fullFrameLatencyMs / P95_STEPS;
  }

  /** Sessions the engine can serve; Infinity while there is no telling. */
  get sessions(): number {
    return Math.min(sessionsOf(this.#slow), this.recentSessions * 1.05);
  }

  /** The same from the last ticks alone. */
  get recentSessions(): number {
    return sessionsOf(this.#fast);
  }

  /** Part of the capacity that the last tick used, as that tick alone would have it; 0 while there is no telling. */
  get load(): number {
    return this.#load;
  }

  /** The engine is never idle. */
  get busy(): boolean {
    return this.#busy;
  }

  /** The step grows faster than the line says: nearly, surely, and beyond doubt. */
  get bend(): 'none' | 'slight' | 'clear' | 'steep' {
    const limit = Math.max(BEND, 1.5 * this.#noise);
    if (this.#offLine > limit)
      return this.#bendTicks >= 3 && this.#offLine > STEEP_BEND ? 'steep' : 'clear';
    return this.#offLine > limit / 2 ? 'slight' : 'none';
  }

  /** The last tick was unusual, in its median or its tail. */
  get oddTick(): boolean {
    return this.#odd > Math.max(ODD, 2.5 * this.#noise);
  }

  /** One tick in which the engine kept up with `sessions` (their mean over the tick). */
  observe(sessions: number, frames: FrameTick, tickMs: number): void {
    const framesPerMs = frames.done / tickMs;
    const step = Math.max(stepMs(frames.p50Ms, framesPerMs), frames.p95Ms / P95_STEPS_AT_MOST);
    this.#load = 0;
    this.#busy = framesPerMs * step >= 1;
    if (framesPerMs * step >= BUSY) this.#learnLow(sessions, step);
    const low = this.#low;
    if (!low || sessions <= low.fewest * SAME_LOAD) return;
    this.#compare(sessions, low, step, frames.p95Ms);
    let cost = 0;
    let weight = MIN_WEIGHT;
    if (step > low.stepMs) {
      const slope = (1 / low.stepMs - 1 / step) / (sessions - low.sessions);
      const capacity = sessions + (1 / step - 1 / this.#fullStepMs) / slope;
      cost = 1 / Math.max(1, capacity);
      this.#load = sessions * cost;
      // The nearer to a full engine, the less does an error of the step matter.
      weight = Math.max(weight, Math.min(MAX_WEIGHT, (step / low.stepMs - 1) ** 2));
    }
    if (this.#bendTicks === 0 || this.#bendTicks > MAX_BEND_TICKS)
      add(this.#slow, SLOW, weight, cost);
    add(this.#fast, FAST, weight, cost);
    const { bend } = this;
    this.#bendTicks = bend === 'clear' || bend === 'steep' ? this.#bendTicks + 1 : 0;
  }

  /** What was learned under load is void; the low end of the line stays, which makes what follows cautious. */
  forget(): void {
    this.#slow = { weight: 0, sum: 0 };
    this.#fast = { weight: 0, sum: 0 };
    this.#offLine = 0;
    this.#odd = 0;
    this.#usualTail = 0;
    this.#bendTicks = 0;
    this.#fasterTicks = 0;
  }

  #learnLow(sessions: number, step: number): void {
    const low = this.#low;
    if (!low) this.#low = { sessions, stepMs: step, fewest: sessions };
    else if (sessions <= low.fewest * SAME_LOAD) {
      low.fewest = Math.min(low.fewest, sessions);
      low.sessions += (sessions - low.sessions) * 0.3;
      low.stepMs += (step - low.stepMs) * 0.3;
    } else if (step < low.stepMs) low.stepMs += (step - low.stepMs) * 0.3;
  }

  #compare(
    sessions: number,
    low: { readonly sessions: number; readonly stepMs: number },
    step: number,
    p95Ms: number,
  ): void {
    const known = sessionsOf(this.#slow);
    if (known === Number.POSITIVE_INFINITY || known <= low.sessions) return;
    const way = (sessions - low.sessions) / (known - low.sessions);
    const perMs = 1 / low.stepMs + way * (1 / this.#fullStepMs - 1 / low.stepMs);
    const offLine = Math.min(0.5, Math.max(-0.5, step * perMs - 1));
    const tail = p95Ms * perMs;
    if (this.#usualTail === 0) this.#usualTail = tail;
    const offTail = tail / this.#usualTail - 1;
    this.#usualTail += (tail - this.#usualTail) * (offTail > 0.03 ? 0.025 : 0.1);
    this.#odd = Math.max(offLine, offTail);
    this.#noise += (Math.abs(offLine - this.#offLine) - this.#noise) * 0.1;
    this.#offLine += (offLine - this.#offLine) * 0.4;
    this.#fasterTicks = this.#offLine < FASTER ? this.#fasterTicks + 1 : 0;
    if (this.#fasterTicks >= FASTER_TICKS) this.forget();
  }
}

function sessionsOf({ weight, sum }: Mean): number {
  return weight > 0 && sum > 0 ? weight / sum : Number.POSITIVE_INFINITY;
}

function add(mean: Mean, keep: number, weight: number, cost: number): void {
  mean.weight = mean.weight * keep + weight;
  mean.sum = mean.sum * keep + weight * cost;
}
