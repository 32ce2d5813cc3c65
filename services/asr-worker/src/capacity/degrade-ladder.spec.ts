import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { CapacityLoop, DEFAULT_CAPACITY } from './capacity-loop.ts';
import {
  advertisedSlots,
  DEGRADE_LEVELS,
  DegradeLadder,
  type DegradeLevel,
  DWELL_MS,
  PERMISSIONS,
} from './degrade-ladder.ts';

const TICK_MS = 1_000;

let clock: FakeClock;
let ladder: DegradeLadder;

beforeEach(() => {
  clock = new FakeClock();
  ladder = new DegradeLadder(clock);
});

/** One reading each second; the level after each. */
function feed(factor: number | undefined, seconds: number): DegradeLevel[] {
  return Array.from({ length: seconds }, () => {
    clock.advance(TICK_MS);
    return ladder.observe(factor);
  });
}

describe('up', () => {
  it.each([
    [0.79, 'normal'],
    [0.8, 'warning'],
    [0.99, 'warning'],
    [1, 'degrade'],
    [1.19, 'degrade'],
    [1.2, 'emergency'],
    [9, 'emergency'],
  ] as const)('E19: a real-time factor of %p leads to %p', (factor, level) => {
    expect(feed(factor, 20).at(-1)).toBe(level);
  });

  it('E19: every level lasts at least 10 s, however the load jumps', () => {
    const levels = [...feed(0.85, 15), ...feed(1.05, 15), ...feed(1.5, 15)];
    const changes = levels.flatMap((level, at) => (at > 0 && level !== levels[at - 1] ? [at] : []));
    expect(levels.at(-1)).toBe('emergency');
    expect(changes).toHaveLength(3);
    for (const [index, at] of changes.entries())
      expect((at - (changes[index - 1] ?? -1)) * TICK_MS).toBeGreaterThanOrEqual(DWELL_MS);
  });

  it('E19: goes straight to what the load calls for', () => {
    expect(feed(1.5, 10).at(-1)).toBe('emergency');
  });
});

describe('down', () => {
  it('E19: one level at a time, when the mean of 30 s is below 0.7', () => {
    feed(1.5, 10);
    const levels = feed(0.3, 80);
    expect([...new Set(levels)]).toEqual(['emergency', 'degrade', 'warning', 'normal']);
    // Ten readings of 1.5 are still in the window: (1.5 x + 0.3 (30 - x)) / 30 < 0.7 from x = 9 on.
    const firstDown = levels.indexOf('degrade');
    expect(firstDown).toBeGreaterThanOrEqual(9);
    expect(firstDown).toBeLessThan(30);
    expect(levels.indexOf('warning') - firstDown).toBeGreaterThanOrEqual(DWELL_MS / TICK_MS);
  });

  it('E19: not while the mean is 0.7 or more', () => {
    feed(1.05, 10);
    expect(feed(0.75, 300).at(-1)).toBe('degrade');
    expect(feed(0.69, 31).at(-1)).toBe('warning');
  });

  it('E19: not for one good reading after many bad ones', () => {
    feed(1.05, 40);
    expect(feed(0, 1).at(-1)).toBe('degrade');
  });

  it('E19: without any reading after 30 s: there is no load', () => {
    feed(1.5, 10);
    expect(feed(undefined, 29).at(-1)).toBe('emergency');
    expect(feed(undefined, 2).at(-1)).toBe('degrade');
  });

  it('E19: a number that is none counts as no reading', () => {
    feed(1.05, 10);
    expect(feed(Number.NaN, 31).at(-1)).toBe('warning');
  });
});

describe('failover', () => {
  it('E19: a provider error is failover at once, in whatever level', () => {
    ladder.providerFailed();
    expect(ladder.level).toBe('failover');
    expect(feed(0.1, 300).at(-1)).toBe('failover');
  });

  it('E19: is over with an engine that was loaded anew, of which nothing is known', () => {
    feed(1.3, 5);
    ladder.providerFailed();
    ladder.reset();
    expect(ladder.level).toBe('normal');
    // Neither the old load nor the old dwell: 30 s later the new engine's own load counts.
    expect(feed(0.1, 31).at(-1)).toBe('normal');
    expect(feed(0.85, 1).at(-1)).toBe('warning');
  });

  it('E19: comes again with the next error', () => {
    ladder.providerFailed();
    ladder.providerFailed();
    ladder.reset();
    expect(feed(0.1, 1).at(-1)).toBe('normal');
    ladder.providerFailed();
    expect(ladder.level).toBe('failover');
  });
});

describe('what a level allows', () => {
  it('E19: less and less, and nothing that costs audio', () => {
    expect(DEGRADE_LEVELS.map((level) => PERMISSIONS[level])).toEqual([
      { mayGrow: true, mayAdmit: true, ready: true },
      { mayGrow: false, mayAdmit: true, ready: true },
      { mayGrow: false, mayAdmit: false, ready: true },
      { mayGrow: false, mayAdmit: false, ready: false },
      { mayGrow: false, mayAdmit: false, ready: false },
    ]);
  });

  it.each([
    ['normal', 50],
    ['warning', 50],
    ['degrade', 30],
    ['emergency', 30],
    ['failover', 30],
  ] as const)('E19: at %p with 30 of 50 slots in use %p are advertised', (level, slots) => {
    expect(advertisedSlots(50, 30, level)).toBe(slots);
  });

  it('E19: never advertises more than the loop has', () => {
    for (const level of DEGRADE_LEVELS) expect(advertisedSlots(20, 30, level)).toBe(20);
  });

  it('E19: has no number of slots of its own: the loop keeps what it learned', () => {
    const loop = new CapacityLoop({ ...DEFAULT_CAPACITY, start: 40 });
    feed(1.1, 10);
    for (let tick = 0; tick < 10; tick += 1)
      loop.observe({
        tickMs: 5_000,
        inUse: 40,
        behind: 0,
        frames: { due: 2_500, done: 2_500, p50Ms: 15, p95Ms: 20 },
        kvUsage: 0.1,
        waitingForCapacity: 0,
        preemptions: 0,
        mayGrow: PERMISSIONS[ladder.level].mayGrow,
      });
    expect(loop.slots).toBe(40);
    expect(advertisedSlots(loop.slots, 25, ladder.level)).toBe(25);
  });
});
