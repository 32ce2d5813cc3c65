import { utteranceKvMib } from '../gpu/kv-cost.ts';
import { BEHIND_MS, type CapacityLoop, type CapacitySample } from './capacity-loop.ts';
import { FRAME_MS } from './engine-load.ts';
import { FrameLatency } from './frame-latency.ts';

/** An engine that steps: each step serves all sessions with a pending frame and takes `baseMs + perSessionMs x sessions`. */
export interface SimEngine {
  readonly baseMs: number;
  readonly perSessionMs: number;
  /** Sessions one step serves at the most; the others wait for the next. */
  readonly maxSequences?: number;
  /** Among waiting frames the oldest first, or those of the oldest sessions first: then the newest session starves. */
  readonly fair?: boolean;
  /** KV pool, and how often utterances are cut. */
  readonly kv?: { readonly poolMib: number; readonly rollS: number };
}

export interface Scenario {
  readonly engine: SimEngine;
  readonly minutes: number;
  readonly seed: number;
  /** Sessions that ask per second; those that find no free slot go away. */
  readonly arrivalsPerS: (atS: number) => number;
  /** Mean length of a session (exponential); Infinity: it stays for ever. */
  readonly sessionS: number;
  /** Each step takes up to this part more or less. */
  readonly stepNoise?: number;
  /** Each tick's percentiles are off by up to this part. */
  readonly tickNoise?: number;
  /** What a neighbour on the GPU makes of every step. */
  readonly slowdown?: (atS: number) => number;
  /** Changes what the loop is told, e.g. to hide a metric. */
  readonly tamper?: (sample: CapacitySample, atS: number) => CapacitySample;
}

export interface TickRecord {
  readonly atS: number;
  readonly slots: number;
  readonly inUse: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly kvUsage: number;
  /** Age of the oldest unanswered frame of any session. */
  readonly worstLagMs: number;
}

export interface SimResult {
  readonly ticks: readonly TickRecord[];
  /** Over all frames of the run. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly preemptions: number;
  readonly rejected: number;
}

/** The source of all chance (mulberry32), in 0..1. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const TICK_MS = 5_000;
const KV_CHECK_MS = 500;

interface Live {
  readonly startedMs: number;
  readonly endMs: number;
  /** Place within the roll at the start: sessions do not roll together. */
  readonly rollPhaseS: number;
  /** When the audio of its next unserved frame is complete. */
  dueMs: number;
  /** Has no KV blocks: thrown out, or not yet admitted. */
  starved: boolean;
}

/** Runs the loop against the engine, step by step, without real time. The same scenario gives the same result. */
export function simulate(
  loop: Pick<CapacityLoop, 'slots' | 'observe'>,
  scenario: Scenario,
): SimResult {
  const { engine } = scenario;
  const random = randomFrom(scenario.seed);
  const endMs = scenario.minutes * 60_000;
  const tick = new FrameLatency();
  const whole = new FrameLatency();
  const ticks: TickRecord[] = [];
  let live: Live[] = [];
  let pending: Live[] = [];
  let nowMs = 0;
  let nextTickMs = TICK_MS;
  let nextKvMs = KV_CHECK_MS;
  let nextArrivalMs = 0;
  let backlogBefore = 0;
  let framesGone = 0;
  let preempted = 0;
  let preemptedTotal = 0;
  let rejected = 0;
  let kvUsage = 0;
  let kvTickMax = 0;

  const kvMibByFrame = Array.from(
    { length: engine.kv ? Math.ceil((engine.kv.rollS * 1000) / FRAME_MS) + 1 : 0 },
    (_, frame) => utteranceKvMib((frame * FRAME_MS) / 1000),
  );

  const backlogOf = (session: Live): number =>
    session.dueMs > nowMs ? 0 : Math.floor((nowMs - session.dueMs) / FRAME_MS) + 1;

  const arrive = (): void => {
    const rate = scenario.arrivalsPerS(nowMs / 1000);
    nextArrivalMs = nowMs + (rate > 0 ? (-Math.log(1 - random()) / rate) * 1000 : 1000);
    if (rate <= 0) return;
    if (live.length >= loop.slots) {
      rejected += 1;
      return;
    }
    const lengthS = -Math.log(1 - random()) * scenario.sessionS;
    live.push({
      startedMs: nowMs,
      endMs: nowMs + lengthS * 1000,
      rollPhaseS: engine.kv ? random() * engine.kv.rollS : 0,
      dueMs: nowMs + random() * FRAME_MS,
      starved: false,
    });
  };

  const kvOf = (session: Live, rollS: number): number => {
    const age = (nowMs - session.startedMs) / 1000;
    // The first utterance is cut early, so that sessions that came together do not roll together.
    const inUtterance = age < rollS - session.rollPhaseS ? age : (age + session.rollPhaseS) % rollS;
    return kvMibByFrame[Math.floor((inUtterance * 1000) / FRAME_MS)] ?? 0;
  };

  const checkKv = (kv: NonNullable<SimEngine['kv']>): void => {
    let sum = 0;
    for (const session of live) if (!session.starved) sum += kvOf(session, kv.rollS);
    for (let index = live.length - 1; index >= 0 && sum > kv.poolMib; index -= 1) {
      const session = live[index] as Live;
      if (session.starved) continue;
      session.starved = true;
      preempted += 1;
      sum -= kvOf(session, kv.rollS);
    }
    for (const session of live) {
      const need = kvOf(session, kv.rollS);
      if (!session.starved || sum + need > kv.poolMib) continue;
      session.starved = false;
      sum += need;
    }
    kvUsage = sum / kv.poolMib;
    kvTickMax = Math.max(kvTickMax, kvUsage);
  };

  const observe = (): void => {
    let backlog = 0;
    let behind = 0;
    let worstLagMs = 0;
    for (const session of live) {
      backlog += backlogOf(session);
      const lagMs = nowMs - session.dueMs;
      if (lagMs > BEHIND_MS) behind += 1;
      if (lagMs > worstLagMs) worstLagMs = lagMs;
    }
    const noise = scenario.tickNoise ?? 0;
    const wobble = 1 + noise * (2 * random() - 1);
    const p50Ms = (tick.percentile(0.5) ?? Number.NaN) * wobble;
    const p95Ms = (tick.percentile(0.95) ?? Number.NaN) * wobble;
    const honest: CapacitySample = {
      tickMs: TICK_MS,
      inUse: live.length,
      behind,
      frames:
        tick.count === 0
          ? undefined
          : {
              due: tick.count + backlog - backlogBefore + framesGone,
              done: tick.count,
              p50Ms,
              p95Ms,
            },
      kvUsage: engine.kv ? kvUsage : 0,
      waitingForCapacity: live.reduce((sum, { starved }) => sum + (starved ? 1 : 0), 0),
      preemptions: preempted,
    };
    loop.observe(scenario.tamper?.(honest, nowMs / 1000) ?? honest);
    ticks.push({
      atS: nowMs / 1000,
      slots: loop.slots,
      inUse: live.length,
      p50Ms,
      p95Ms,
      kvUsage: kvTickMax,
      worstLagMs,
    });
    backlogBefore = backlog;
    framesGone = 0;
    preemptedTotal += preempted;
    preempted = 0;
    kvTickMax = 0;
    tick.reset();
  };

  /** What happens beside the engine, up to now. */
  const runEvents = (): void => {
    while (nextArrivalMs <= nowMs) arrive();
    if (nextKvMs <= nowMs && engine.kv) {
      nextKvMs += KV_CHECK_MS;
      checkKv(engine.kv);
    }
    if (nextTickMs <= nowMs) {
      nextTickMs += TICK_MS;
      observe();
    }
  };

  while (nowMs < endMs) {
    runEvents();
    pending.length = 0;
    let nextDueMs = Math.min(nextTickMs, nextArrivalMs, engine.kv ? nextKvMs : nextTickMs);
    let someEnded = false;
    for (const session of live) {
      if (session.endMs <= nowMs) {
        someEnded = true;
        framesGone += backlogOf(session);
      } else if (session.starved) {
      } else if (session.dueMs <= nowMs) pending.push(session);
      else if (session.dueMs < nextDueMs) nextDueMs = session.dueMs;
    }
    if (someEnded) live = live.filter((session) => session.endMs > nowMs);
    if (pending.length === 0) {
      nowMs = nextDueMs;
      continue;
    }
    const limit = engine.maxSequences ?? Number.POSITIVE_INFINITY;
    if (pending.length > limit) {
      if (engine.fair ?? true) pending.sort((one, other) => one.dueMs - other.dueMs);
      pending = pending.slice(0, limit);
    }
    const noise = scenario.stepNoise ?? 0;
    nowMs +=
      (engine.baseMs + engine.perSessionMs * pending.length) *
      (scenario.slowdown?.(nowMs / 1000) ?? 1) *
      (1 + noise * (2 * random() - 1));
    for (const session of pending) {
      tick.record(nowMs - session.dueMs);
      whole.record(nowMs - session.dueMs);
      session.dueMs += FRAME_MS;
    }
  }
  return {
    ticks,
    lagP99Ms: whole.percentile(0.99) ?? 0,
    lagMaxMs: whole.maxMs,
    preemptions: preemptedTotal,
    rejected,
  };
}
