import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RateWindow } from './rate-window.ts';

const WINDOW_MS = 6_000;

/** `steps`: how long after the last each call comes. Returns the times of those that were let through. */
function taken(window: RateWindow, steps: readonly number[]): number[] {
  const times: number[] = [];
  let nowMs = 0;
  for (const step of steps) {
    nowMs += step;
    if (window.take(nowMs) === 0) times.push(nowMs);
  }
  return times;
}

const steps = fc.array(fc.integer({ min: 0, max: 1_500 }), { minLength: 1, maxLength: 200 });

describe('RateWindow', () => {
  it('allows everything when the limit is 0', () => {
    const window = new RateWindow(0, WINDOW_MS);
    for (let call = 0; call < 1_000; call += 1) expect(window.take(1)).toBe(0);
  });

  it('allows the limit, then tells how long until one fits, which then does', () => {
    const window = new RateWindow(3, WINDOW_MS);
    expect([window.take(50), window.take(50), window.take(150)]).toEqual([0, 0, 0]);
    const waitMs = window.take(1_000);
    expect(waitMs).toBe(5_000);
    expect(window.take(1_000 + waitMs - 1)).toBe(1);
    expect(window.take(1_000 + waitMs)).toBe(0);
    expect(window.take(1_000 + waitMs)).toBe(0);
    expect(window.take(1_000 + waitMs)).toBe(100);
  });

  it('counts nothing for a refused event, so that knocking does not prolong the wait', () => {
    const window = new RateWindow(1, WINDOW_MS);
    expect(window.take(0)).toBe(0);
    for (let nowMs = 100; nowMs < WINDOW_MS; nowMs += 100)
      expect(window.take(nowMs)).toBe(WINDOW_MS - nowMs);
    expect(window.take(WINDOW_MS)).toBe(0);
  });

  it('is empty again after a long silence', () => {
    const window = new RateWindow(2, WINDOW_MS);
    for (const nowMs of [1e9, 1e9, 2e9, 2e9]) expect(window.take(nowMs)).toBe(0);
    expect(window.take(2e9)).toBeGreaterThan(0);
  });

  it('never lets more than the limit through within the window, but for its last slice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), steps, (limit, gaps) => {
        const times = taken(new RateWindow(limit, WINDOW_MS), gaps);
        for (const [index, time] of times.entries()) {
          const next = times[index + limit];
          if (next !== undefined) expect(next - time).toBeGreaterThan((WINDOW_MS * 59) / 60 - 1);
        }
      }),
    );
  });

  it('refuses nothing that a true sliding window would allow', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), steps, (limit, gaps) => {
        const window = new RateWindow(limit, WINDOW_MS);
        const times: number[] = [];
        let nowMs = 0;
        for (const gap of gaps) {
          nowMs += gap;
          const recent = times.filter((time) => time > nowMs - WINDOW_MS).length;
          const waitMs = window.take(nowMs);
          if (recent < limit) expect(waitMs).toBe(0);
          else expect(waitMs).toBeLessThanOrEqual(WINDOW_MS);
          if (waitMs === 0) times.push(nowMs);
        }
      }),
    );
  });

  it('tells a wait after which one fits, also where the window has no whole slices', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), steps, (windowMs, gaps) => {
        const window = new RateWindow(2, windowMs);
        let nowMs = 0;
        for (const gap of gaps) {
          nowMs += gap;
          const waitMs = window.take(nowMs);
          if (waitMs <= 0) continue;
          nowMs += Math.ceil(waitMs);
          // Rounding may cost one slice's edge, never a client's second wait of any length.
          expect(window.take(nowMs)).toBeLessThan(1e-6);
        }
      }),
    );
  });
});
