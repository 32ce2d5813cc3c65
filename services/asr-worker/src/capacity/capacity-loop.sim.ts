import { meanKvMib, utteranceKvMib } from '../gpu/kv-cost.ts';
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

function linear(name: string, baseMs: number, capacity: number): NamedEngine {
  return { name, engine: { baseMs, perSessionMs: (FRAME_MS - baseMs) / capacity } };
}

export interface NamedEngine {
  readonly name: string;
  readonly engine: SimEngine;
}

/** Fixed and variable costs from all of the one to much of the other, cliffs, and small pools. */
export const ENGINES: readonly NamedEngine[] = [
  linear('linear 10 ms, 20', 10, 20),
  linear('linear 40 ms, 20', 40, 20),
  linear('linear 2 ms, 50', 2, 50),
  linear('linear 10 ms, 50', 10, 50),
  linear('linear 20 ms, 50', 20, 50),
  linear('linear 40 ms, 50', 40, 50),
  linear('linear 10 ms, 100', 10, 100),
  linear('linear 40 ms, 100', 40, 100),
  linear('linear 2 ms, 200', 2, 200),
  linear('linear 10 ms, 200', 10, 200),
  linear('linear 20 ms, 200', 20, 200),
  { name: 'cliff 32 at once, 71', engine: { baseMs: 20, perSessionMs: 0.5, maxSequences: 32 } },
  { name: 'cliff 16 at once, 51', engine: { baseMs: 10, perSessionMs: 0.94, maxSequences: 16 } },
  { name: 'cliff 32 at once, 156', engine: { baseMs: 10, perSessionMs: 0.2, maxSequences: 32 } },
  {
    name: 'unfair cliff, 71',
    engine: { baseMs: 20, perSessionMs: 0.5, maxSequences: 32, fair: false },
  },
  { name: 'KV pool of 12 GB', engine: kvLimited(40) },
  { name: 'KV pool of 30 GB', engine: kvLimited(100) },
];

/** Plenty of compute, and a pool that `sessions` fill to nine tenths on the mean. */
function kvLimited(sessions: number): SimEngine {
  const rollS = 30;
  return {
    baseMs: 10,
    perSessionMs: 0.1,
    kv: { poolMib: (meanKvMib(rollS) * sessions) / 0.9, rollS },
  };
}

/**
 * The most sessions an engine carries for good: for compute from its formula, for KV the most that stay
 * for twice 10 simulated minutes without one that loses its blocks.
 */
export function hiddenCapacity(engine: SimEngine, sessionS: number): number {
  const linearLimit = (FRAME_MS - engine.baseMs) / engine.perSessionMs;
  const width = engine.maxSequences ?? Number.POSITIVE_INFINITY;
  const cliff =
    width === Number.POSITIVE_INFINITY
      ? linearLimit
      : (width * FRAME_MS) / (engine.baseMs + engine.perSessionMs * width);
  // 80 - 10 over 0.7 is 99.99999999999999.
  const compute = Math.floor(Math.min(linearLimit, cliff) + 1e-6);
  if (!engine.kv) return compute;
  const carries = (slots: number): boolean =>
    [11, 12].every((seed) => {
      const scenario = scenarioFor(engine, slots, { sessionS, minutes: 10, seed });
      const fixed = { slots, observe: () => {} };
      return simulate(fixed, { ...scenario, arrivalsPerS: () => 5 }).preemptions === 0;
    });
  let carried = 0;
  let tooMany = compute + 1;
  while (tooMany - carried > 1) {
    const middle = (carried + tooMany) >> 1;
    if (carries(middle)) carried = middle;
    else tooMany = middle;
  }
  return carried;
}

/** More sessions ask than the engine can carry, from a fifth of that up to all of it within the first minute. */
export function scenarioFor(
  engine: SimEngine,
  capacity: number,
  { sessionS, minutes, seed }: { sessionS: number; minutes: number; seed: number },
): Scenario {
  const ratePerS =
    sessionS === Number.POSITIVE_INFINITY
      ? capacity / 40
      : (1.5 * capacity) / Math.min(sessionS, 60);
  return {
    engine,
    minutes,
    seed,
    sessionS,
    stepNoise: 0.2,
    arrivalsPerS: (atS) => Math.min(1, atS / 60 + 0.2) * ratePerS,
  };
}

export interface Summary {
  /** When the slots first were 90 % of the capacity; Infinity: never. */
  readonly settledS: number;
  /** Part of the ticks from then on with slots from 90 % (rounded down) to all of the capacity. */
  readonly inBand: number;
  readonly maxShare: number;
  readonly endShare: number;
  readonly lagP99Ms: number;
}

export function summarise({ ticks, lagP99Ms }: SimResult, capacity: number): Summary {
  const enough = Math.floor(0.9 * capacity);
  const first = ticks.findIndex(({ slots }) => slots >= enough);
  const after = first < 0 ? [] : ticks.slice(first);
  const good = after.filter(({ slots }) => slots >= enough && slots <= capacity);
  return {
    settledS: first < 0 ? Number.POSITIVE_INFINITY : Math.round(ticks[first]?.atS ?? 0),
    inBand: after.length === 0 ? 0 : good.length / after.length,
    maxShare: Math.max(...ticks.map(({ slots }) => slots)) / capacity,
    endShare: (ticks.at(-1)?.slots ?? 0) / capacity,
    lagP99Ms,
  };
}
