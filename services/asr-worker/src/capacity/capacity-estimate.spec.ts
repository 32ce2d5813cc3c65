import { describe, expect, it } from '@jest/globals';
import { CapacityEstimate } from './capacity-estimate.ts';
import { CapacityLoop, type CapacitySample, DEFAULT_CAPACITY } from './capacity-loop.ts';
import { FRAME_MS, type FrameTick } from './engine-load.ts';

const TICK_MS = 5_000;
const BASE_MS = 10;
const PER_SESSION_MS = 0.7;
const CAPACITY = 100;

/** What an engine with steps of 10 ms + 0.7 ms x sessions shows, each step `slower` times as long. */
function framesOf(sessions: number, slower = 1): FrameTick {
  const busyStepMs = BASE_MS / (1 - (PER_SESSION_MS * sessions) / FRAME_MS);
  const frames = (sessions * TICK_MS) / FRAME_MS;
  const step = busyStepMs * slower;
  return { due: frames, done: frames, p50Ms: 1.5 * step, p95Ms: 2.06 * step };
}

function ramp(estimate: CapacityEstimate, from: number, to: number, slower?: number): void {
  for (let sessions = from; sessions <= to; sessions += 1)
    estimate.observe(sessions, framesOf(sessions, slower), TICK_MS);
}

const learned = (): CapacityEstimate => {
  const estimate = new CapacityEstimate(DEFAULT_CAPACITY.targetFrameLatencyMs);
  ramp(estimate, 30, 60);
  return estimate;
};

describe('CapacityEstimate', () => {
  it('knows nothing from a single load', () => {
    const estimate = new CapacityEstimate(165);
    for (let tick = 0; tick < 20; tick += 1) estimate.observe(30, framesOf(30), TICK_MS);
    expect(estimate.sessions).toBe(Number.POSITIVE_INFINITY);
    expect(estimate.load).toBe(0);
  });

  it('finds the capacity of 100 sessions with 60 of them', () => {
    const estimate = learned();
    expect(estimate.sessions / CAPACITY).toBeCloseTo(1, 1);
    expect(estimate.recentSessions / CAPACITY).toBeCloseTo(1, 1);
    expect(estimate.load).toBeCloseTo(0.6, 1);
    expect(estimate.bend).toBe('none');
    expect(estimate.oddTick).toBe(false);
  });

  it('counts to where the frame latency is the one that it was given', () => {
    const estimate = new CapacityEstimate(80);
    ramp(estimate, 30, 60);
    // Steps of 80 / 2.06 = 38.8 ms: 10 / (1 - 0.7 n / 80) at n = 84.9.
    expect(Math.abs(estimate.sessions - 84.9)).toBeLessThan(1);
  });

  it('learns nothing of the line from an engine that idles', () => {
    const estimate = new CapacityEstimate(165);
    for (let sessions = 1; sessions < 8; sessions += 1) {
      const frames = (sessions * TICK_MS) / FRAME_MS;
      const idle = { due: frames, done: frames, p50Ms: 11, p95Ms: 14 };
      estimate.observe(sessions, idle, TICK_MS);
      expect(estimate.busy).toBe(false);
    }
    expect(estimate.sessions).toBe(Number.POSITIVE_INFINITY);
  });

  it('sees steps that leave their line: at once as odd, then as a bend, at last beyond doubt', () => {
    const estimate = learned();
    const seen: string[] = [];
    for (let tick = 0; tick < 6; tick += 1) {
      estimate.observe(60, framesOf(60, 1.4), TICK_MS);
      expect(estimate.oddTick).toBe(true);
      seen.push(estimate.bend);
    }
    expect(seen).toContain('clear');
    expect(seen.at(-1)).toBe('steep');
  });

  it('takes one bad tick for what it is', () => {
    const estimate = learned();
    estimate.observe(60, framesOf(60, 1.1), TICK_MS);
    for (let tick = 0; tick < 8; tick += 1) estimate.observe(60, framesOf(60), TICK_MS);
    expect(estimate.bend).toBe('none');
    expect(estimate.oddTick).toBe(false);
  });

  it('forgets what it learned of an engine that has become much faster', () => {
    const estimate = learned();
    for (let tick = 0; tick < 20; tick += 1) estimate.observe(60, framesOf(60, 0.6), TICK_MS);
    // Steps of 11.4 ms instead of 21.1 on a line from 10 ms with 30 sessions: room for hundreds.
    expect(estimate.sessions).toBeGreaterThan(1.5 * CAPACITY);
  });
});

describe('CapacityLoop at a bend', () => {
  const sampleOf = (inUse: number, slower: number): CapacitySample => ({
    tickMs: TICK_MS,
    inUse,
    behind: 0,
    frames: framesOf(inUse, slower),
    kvUsage: 0.1,
    waitingForCapacity: 0,
    preemptions: 0,
  });
  const rampTo = (inUse: number): CapacityLoop => {
    const loop = new CapacityLoop({ ...DEFAULT_CAPACITY, ceiling: 400, start: 30 });
    while (loop.slots < inUse) loop.observe(sampleOf(loop.slots, 1));
    return loop;
  };

  it('stands still, and for a while after it is gone', () => {
    const loop = rampTo(60);
    const { slots } = loop;
    for (let tick = 0; tick < 10; tick += 1) {
      loop.observe(sampleOf(slots, 1.4));
      expect(loop.reason).toBe('bend');
    }
    expect(loop.slots).toBe(slots);
    for (let tick = 0; tick < 20; tick += 1) loop.observe(sampleOf(slots, 1));
    expect(loop.slots).toBe(slots);
    for (let tick = 0; tick < 100; tick += 1) loop.observe(sampleOf(loop.slots, 1));
    expect(loop.slots).toBeGreaterThan(slots);
  });

  it('looks twice at a single tick that is far off', () => {
    const loop = rampTo(60);
    const { slots } = loop;
    // Odd against what is usual at the end of this ramp, but smoothed not yet a bend.
    loop.observe(sampleOf(slots, 1.04));
    expect(loop.slots).toBe(slots);
    expect(loop.reason).toBe('bend');
    for (let tick = 0; tick < 10; tick += 1) loop.observe(sampleOf(loop.slots, 1));
    expect(loop.slots).toBeGreaterThan(slots);
  });

  it('goes on without one, to 95 % of the capacity', () => {
    const loop = rampTo(60);
    for (let tick = 0; tick < 60; tick += 1) loop.observe(sampleOf(loop.slots, 1));
    expect(loop.slots / CAPACITY).toBeGreaterThanOrEqual(0.95);
    expect(loop.slots / CAPACITY).toBeLessThan(0.97);
  });
});
