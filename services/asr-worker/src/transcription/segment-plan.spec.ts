import { describe, expect, it } from '@jest/globals';
import { planForEngine, segmentPlan } from './segment-plan.ts';

const SECOND = 16_000;
const SETTINGS = { roll: true, segmentS: 60, overlapS: 0.8, maxModelLen: 1024 };

describe('segmentPlan', () => {
  it('takes the seconds it is given', () => {
    expect(segmentPlan(SETTINGS)).toEqual({
      segmentSamples: 60 * SECOND,
      overlapSamples: 0.8 * SECOND,
    });
  });

  it('caps a segment at (model length - 128) x 80 ms', () => {
    expect(segmentPlan({ ...SETTINGS, segmentS: 3600 }).segmentSamples).toBe(71.68 * SECOND);
    expect(segmentPlan({ ...SETTINGS, maxModelLen: 256 }).segmentSamples).toBe(10.24 * SECOND);
  });

  it('lets no more than half a segment overlap, so that each brings something new', () => {
    expect(segmentPlan({ ...SETTINGS, segmentS: 1, overlapS: 10 })).toEqual({
      segmentSamples: SECOND,
      overlapSamples: SECOND / 2,
    });
  });

  it('never cuts where rolling is off', () => {
    expect(segmentPlan({ ...SETTINGS, roll: false })).toEqual({
      segmentSamples: Number.POSITIVE_INFINITY,
      overlapSamples: 0.8 * SECOND,
    });
  });

  it('is in whole samples', () => {
    const plan = segmentPlan({ ...SETTINGS, segmentS: 1.00001, overlapS: 0.33333 });
    expect(plan).toEqual({ segmentSamples: 16_000, overlapSamples: 5_333 });
  });
});

describe('planForEngine', () => {
  const plan = segmentPlan(SETTINGS);

  it.each([undefined, 60 * SECOND, 61 * SECOND])(
    'leaves a plan as it is for an engine that takes up to %p',
    (limit) => {
      expect(planForEngine(plan, limit)).toBe(plan);
    },
  );

  it('cuts at the limit of the engine where that is lower', () => {
    expect(planForEngine(plan, 30 * SECOND)).toEqual({
      segmentSamples: 30 * SECOND,
      overlapSamples: 0.8 * SECOND,
    });
    expect(planForEngine(plan, SECOND).overlapSamples).toBe(SECOND / 2);
  });

  it('cuts at the limit of the engine even where rolling is off', () => {
    const endless = segmentPlan({ ...SETTINGS, roll: false });
    expect(planForEngine(endless, 30 * SECOND).segmentSamples).toBe(30 * SECOND);
  });
});
