import { describe, expect, it } from '@jest/globals';
import {
  CapacityLoop,
  type CapacitySample,
  type CapacitySettings,
  DEFAULT_CAPACITY,
} from './capacity-loop.ts';

const TICK_MS = 5_000;
const FRAMES_PER_SESSION = (TICK_MS / 1000) * 12.5;
const TARGET_MS = DEFAULT_CAPACITY.targetFrameLatencyMs;

function loopOf(settings: Partial<CapacitySettings> = {}): CapacityLoop {
  return new CapacityLoop({
    ...DEFAULT_CAPACITY,
    floor: 2,
    ceiling: 100,
    start: 40,
    ...settings,
  });
}

/** A tick of an engine that keeps up, with steps of 10 ms. */
function sampleOf(inUse: number, changes: Partial<CapacitySample> = {}): CapacitySample {
  const frames = inUse * FRAMES_PER_SESSION;
  return {
    tickMs: TICK_MS,
    inUse,
    behind: 0,
    frames: { due: frames, done: frames, p50Ms: 15, p95Ms: 19.5 },
    kvUsage: 0.1,
    waitingForCapacity: 0,
    preemptions: 0,
    ...changes,
  };
}

/** The engine answers this part of the audio only, so its queue grows. */
function overloaded(inUse: number, answered: number, p95Ms = 400): Partial<CapacitySample> {
  const due = inUse * FRAMES_PER_SESSION;
  return { frames: { due, done: due * answered, p50Ms: p95Ms * 0.7, p95Ms } };
}

/** Two ticks with this many sessions: what came in between belongs to the mean of both. */
function load(loop: CapacityLoop, inUse: number, changes: Partial<CapacitySample> = {}): void {
  loop.observe(sampleOf(inUse, changes));
  loop.observe(sampleOf(inUse, changes));
}

describe('growth', () => {
  it('is offered when the slots are taken and the engine is far from full', () => {
    const loop = loopOf();
    loop.observe(sampleOf(40));
    expect(loop.slots).toBeGreaterThan(40);
    expect(loop.reason).toBe('grown');
  });

  it('is not, while slots are free', () => {
    const loop = loopOf();
    load(loop, 30);
    expect(loop.slots).toBe(40);
    expect(loop.reason).toBe('no_demand');
  });

  it('ends at the ceiling', () => {
    const loop = loopOf({ ceiling: 44 });
    for (let tick = 0; tick < 20; tick += 1) load(loop, loop.slots);
    expect(loop.slots).toBe(44);
    expect(loop.reason).toBe('full');
  });

  it.each([
    ['no frames were measured', { frames: undefined }],
    ['too few frames were measured', { frames: { due: 50, done: 50, p50Ms: 15, p95Ms: 20 } }],
    [
      'the percentiles are no numbers',
      { frames: { due: 2500, done: 2500, p50Ms: Number.NaN, p95Ms: Number.NaN } },
    ],
    ['the engine does not tell its KV usage', { kvUsage: undefined }],
    ['the degrade ladder forbids it', { mayGrow: false }],
  ] satisfies [string, Partial<CapacitySample>][])(
    'needs more than a guess: %s',
    (_why, changes) => {
      const loop = loopOf();
      for (let tick = 0; tick < 5; tick += 1) loop.observe(sampleOf(40, changes));
      expect(loop.slots).toBe(40);
      expect(['no_data', 'not_allowed']).toContain(loop.reason);
    },
  );

  it('is not for a tick over the target, though nothing queues', () => {
    const loop = loopOf();
    const frames = 40 * FRAMES_PER_SESSION;
    const slow = { due: frames, done: frames, p50Ms: 130, p95Ms: 1.2 * TARGET_MS };
    loop.observe(sampleOf(40, { frames: slow }));
    expect(loop.slots).toBe(40);
    expect(loop.reason).toBe('slow');
  });

  it('stops where the KV pool would be full', () => {
    const loop = loopOf();
    for (let tick = 0; tick < 40; tick += 1)
      loop.observe(sampleOf(loop.slots, { kvUsage: loop.slots * 0.018 }));
    // 0.9 of the pool are 50 sessions.
    expect(loop.slots).toBeGreaterThanOrEqual(47);
    expect(loop.slots).toBeLessThanOrEqual(49);
  });

  it('counts newcomers as if they had their full KV cost already', () => {
    const loop = loopOf({ start: 10 });
    // 10 sessions fill 0.3, so 30 fill the pool; the next ones hold nothing in their first seconds.
    for (let tick = 0; tick < 8; tick += 1) loop.observe(sampleOf(10, { kvUsage: 0.3 }));
    const before = loop.slots;
    for (let tick = 0; tick < 4; tick += 1) loop.observe(sampleOf(25, { kvUsage: 0.32 }));
    expect(loop.slots).toBeLessThanOrEqual(Math.max(before, 30));
  });
});

describe('shrinking', () => {
  it('goes to 93 % of what the engine kept up with', () => {
    const loop = loopOf();
    load(loop, 40, { ...overloaded(40, 0.5) });
    expect(loop.reason).toBe('overload');
    // The first tick takes its sessions for 20, the mean of 0 and 40; the second for 40.
    load(loop, 40, { ...overloaded(40, 0.5) });
    load(loop, 40, { ...overloaded(40, 0.5) });
    expect(loop.slots).toBeLessThanOrEqual(19);
    expect(loop.slots).toBeGreaterThanOrEqual(15);
  });

  it('may go below the sessions in use, but not below the floor', () => {
    const loop = loopOf({ floor: 35 });
    for (let tick = 0; tick < 5; tick += 1) load(loop, 40, overloaded(40, 0.5));
    expect(loop.slots).toBe(35);
  });

  it('does not go on while the same sessions only wait to end', () => {
    const loop = loopOf();
    for (let tick = 0; tick < 10; tick += 1) load(loop, 40, overloaded(40, 0.8, 400 + 100 * tick));
    const after = loop.slots;
    for (let tick = 10; tick < 60; tick += 1) load(loop, 40, overloaded(40, 0.8, 400 + 100 * tick));
    expect(loop.slots).toBe(after);
    expect(after).toBe(Math.floor(0.93 * 32));
  });

  it('holds while a queue is being worked off', () => {
    const loop = loopOf();
    load(loop, 40, overloaded(40, 0.8, 2_000));
    const after = loop.slots;
    for (const p95Ms of [1_500, 1_000, 600, 400])
      loop.observe(sampleOf(30, { ...overloaded(30, 1.2, p95Ms) }));
    expect(loop.reason).toBe('recovering');
    expect(loop.slots).toBe(after);
  });

  it('follows several sessions that are behind, but not a single one', () => {
    const loop = loopOf({ ceiling: 40 });
    load(loop, 40, { behind: 1 });
    expect(loop.slots).toBe(40);
    loop.observe(sampleOf(40, { behind: 2 }));
    expect(loop.slots).toBe(37);
    expect(loop.reason).toBe('overload');
  });

  it.each([
    ['an utterance waits for KV blocks', { waitingForCapacity: 1 }],
    ['a session lost its KV blocks', { preemptions: 1 }],
  ])('starts when %s', (_why, changes) => {
    const loop = loopOf({ ceiling: 40 });
    load(loop, 40);
    loop.observe(sampleOf(40, changes));
    expect(loop.slots).toBe(37);
  });

  it('follows a KV pool beyond its limit', () => {
    const loop = loopOf({ ceiling: 40 });
    loop.observe(sampleOf(40, { kvUsage: 0.99 }));
    expect(loop.reason).toBe('kv');
    expect(loop.slots).toBe(Math.floor((40 * 0.9) / 0.99));
  });

  it('needs no KV usage', () => {
    const loop = loopOf();
    load(loop, 40, { ...overloaded(40, 0.5), kvUsage: undefined });
    expect(loop.reason).toBe('overload');
    expect(loop.slots).toBeLessThan(40);
  });
});

describe('memory', () => {
  const failAt40 = (loop: CapacityLoop): void => {
    loop.observe(sampleOf(40, { frames: undefined }));
    for (let tick = 0; tick < 4; tick += 1) loop.observe(sampleOf(40, overloaded(40, 0.95)));
  };
  /** Ticks at full slots until they exceed the level that failed. */
  const ticksUntilBack = (loop: CapacityLoop): number => {
    for (let tick = 1; tick < 1_000; tick += 1) {
      loop.observe(sampleOf(loop.slots));
      if (loop.slots > 38) return tick;
    }
    return Number.POSITIVE_INFINITY;
  };

  it('keeps from a level that failed for two minutes, and twice as long the next time', () => {
    const loop = loopOf({ ceiling: 40 });
    failAt40(loop);
    expect(loop.slots).toBeLessThan(38);
    const first = ticksUntilBack(loop);
    expect(first * TICK_MS).toBeGreaterThanOrEqual(DEFAULT_CAPACITY.retryMs);
    expect(first * TICK_MS).toBeLessThan(1.5 * DEFAULT_CAPACITY.retryMs);
    failAt40(loop);
    const second = ticksUntilBack(loop);
    expect(second * TICK_MS).toBeGreaterThanOrEqual(2 * DEFAULT_CAPACITY.retryMs);
    expect(second * TICK_MS).toBeLessThan(2.5 * DEFAULT_CAPACITY.retryMs);
  });

  it('keeps the slots through idle hours, and through an engine that answers nothing', () => {
    const loop = loopOf();
    load(loop, 40);
    const before = loop.slots;
    for (let tick = 0; tick < 1_000; tick += 1) loop.observe(sampleOf(0, { frames: undefined }));
    for (let tick = 0; tick < 10; tick += 1) loop.observe(sampleOf(before, { frames: undefined }));
    expect(loop.slots).toBe(before);
  });

  it('takes a tick without length for none', () => {
    const loop = loopOf();
    loop.observe(sampleOf(40, { tickMs: 0 }));
    expect(loop.slots).toBe(40);
    expect(loop.reason).toBe('start');
  });

  it('begins within floor and ceiling', () => {
    expect(loopOf({ start: 1 }).slots).toBe(2);
    expect(loopOf({ start: 1_000 }).slots).toBe(100);
  });
});
