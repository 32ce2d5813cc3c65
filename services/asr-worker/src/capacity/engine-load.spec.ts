import { describe, expect, it } from '@jest/globals';
import { realTimeFactor, stepMs } from './engine-load.ts';

const TICK_MS = 5_000;
const framesOf = (done: number, p50Ms: number, due = done) => ({
  due,
  done,
  p50Ms,
  p95Ms: 1.3 * p50Ms,
});

describe('stepMs', () => {
  it('is two thirds of the median of an engine that is never idle', () => {
    // 100 sessions: 1.25 frames per ms.
    expect(stepMs(60, 1.25)).toBe(40);
  });

  it('is the median where a frame finds the engine idle', () => {
    expect(stepMs(20, 0.0125)).toBe(20);
  });

  it('goes over smoothly from one to the other', () => {
    for (const framesPerMs of [0.01, 0.1, 1]) {
      const idle = 0.5 / framesPerMs;
      const busy = 1.5 / framesPerMs;
      expect(stepMs(idle * 1.000001, framesPerMs)).toBeCloseTo(idle, 3);
      expect(stepMs(busy * 0.999999, framesPerMs)).toBeCloseTo(busy / 1.5, 3);
    }
  });
});

describe('realTimeFactor', () => {
  it('is the step against a frame while the engine keeps up', () => {
    expect(realTimeFactor(framesOf(6_250, 60), TICK_MS)).toBe(0.5);
  });

  it('is audio handed over against audio answered when frames queue', () => {
    expect(realTimeFactor(framesOf(5_000, 900, 6_000), TICK_MS)).toBe(1.2);
    // The queue is being worked off.
    expect(realTimeFactor(framesOf(6_000, 900, 4_800), TICK_MS)).toBe(0.8);
  });

  it('is unknown when nothing was answered', () => {
    expect(realTimeFactor(framesOf(0, Number.NaN, 500), TICK_MS)).toBeUndefined();
    expect(realTimeFactor(framesOf(500, Number.NaN), TICK_MS)).toBeUndefined();
    expect(realTimeFactor(framesOf(500, 20), 0)).toBeUndefined();
  });
});
