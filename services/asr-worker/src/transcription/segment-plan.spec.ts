import { describe, expect, it } from '@jest/globals';
import { planForEngine, segmentPlan } from './segment-plan.ts';

const SECOND = 16_000;
const ENDLESS = Number.POSITIVE_INFINITY;
const SETTINGS = { roll: true, segmentS: 30, pauseFromS: 15, overlapS: 0.8, maxModelLen: 4096 };

describe('segmentPlan', () => {
  it('takes the seconds it is given', () => {
    expect(segmentPlan(SETTINGS)).toEqual({
      segmentSamples: 30 * SECOND,
      pauseFromSamples: 15 * SECOND,
      overlapSamples: 0.8 * SECOND,
    });
  });

  it('Y41: caps a segment at half the model length, padding included', () => {
    const capped = (maxModelLen: number): number =>
      segmentPlan({ ...SETTINGS, segmentS: 3600, maxModelLen }).segmentSamples;
    expect(capped(1024)).toBe((512 - 104) * 0.08 * SECOND);
    expect(capped(4352)).toBe((2176 - 104) * 0.08 * SECOND);
    for (const maxModelLen of [256, 300, 1024, 131_072]) {
      // What vLLM counts for it at the longest delay.
      const tokens = 1 + 32 + 30 + capped(maxModelLen) / 1280 + 41;
      expect(tokens).toBeLessThanOrEqual(maxModelLen / 2);
      expect(capped(maxModelLen)).toBeLessThanOrEqual((maxModelLen - 128) * 1280);
    }
  });

  it('lets no more than half a segment overlap, so that each brings something new', () => {
    expect(segmentPlan({ ...SETTINGS, segmentS: 1, overlapS: 10 })).toMatchObject({
      segmentSamples: SECOND,
      overlapSamples: SECOND / 2,
    });
  });

  it('never cuts where rolling is off', () => {
    expect(segmentPlan({ ...SETTINGS, roll: false })).toEqual({
      segmentSamples: ENDLESS,
      pauseFromSamples: ENDLESS,
      overlapSamples: 0.8 * SECOND,
    });
  });

  it('is in whole samples', () => {
    const plan = segmentPlan({ ...SETTINGS, segmentS: 1.00001, overlapS: 0.33333 });
    expect(plan).toMatchObject({ segmentSamples: 16_000, overlapSamples: 5_333 });
  });
});

describe('planForEngine', () => {
  const plan = segmentPlan(SETTINGS);

  it.each([{}, { maxSegmentSamples: 30 * SECOND }, { maxSegmentSamples: 61 * SECOND }])(
    'leaves a plan as it is for an engine of %p',
    (engine) => {
      expect(planForEngine(plan, engine)).toEqual(plan);
    },
  );

  it('cuts at the limit of the engine where that is lower', () => {
    expect(planForEngine(plan, { maxSegmentSamples: 20 * SECOND })).toEqual({
      ...plan,
      segmentSamples: 20 * SECOND,
    });
    expect(planForEngine(plan, { maxSegmentSamples: SECOND }).overlapSamples).toBe(SECOND / 2);
  });

  it('cuts at the limit of the engine even where rolling is off', () => {
    const endless = segmentPlan({ ...SETTINGS, roll: false });
    expect(planForEngine(endless, { maxSegmentSamples: 30 * SECOND }).segmentSamples).toBe(
      30 * SECOND,
    );
  });

  it('does not cut for an engine that goes on by itself', () => {
    expect(planForEngine(plan, { endless: true })).toEqual({
      segmentSamples: ENDLESS,
      pauseFromSamples: ENDLESS,
      overlapSamples: 0.8 * SECOND,
    });
  });
});
