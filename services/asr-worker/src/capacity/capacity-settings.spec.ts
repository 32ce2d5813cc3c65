import { describe, expect, it } from '@jest/globals';
import { DEFAULT_CAPACITY } from './capacity-loop.ts';
import { capacitySettings } from './capacity-settings.ts';

const AUTO = {
  floor: 1,
  ceiling: 0,
  start: 0,
  targetFrameLatencyMs: 165,
  memoryUtilization: 0.9,
  maxNumSeqs: 0,
};
const L40S = { name: 'NVIDIA L40S', memoryMib: 48 * 1024 };
const H100 = { name: 'NVIDIA H100 80GB HBM3', memoryMib: 80 * 1024 };

describe('capacitySettings', () => {
  it('starts from the plan for the card, up to what its cache holds with segments of 30 s', () => {
    expect(capacitySettings(AUTO, L40S, 30)).toMatchObject({ start: 32, kvSettleMs: 30_000 });
    const h100 = capacitySettings(AUTO, H100, 30);
    expect(h100.start).toBe(64);
    expect(h100.ceiling).toBeGreaterThan(200);
  });

  it('starts lower where utterances are not cut', () => {
    expect(capacitySettings(AUTO, L40S, Number.POSITIVE_INFINITY).start).toBe(18);
  });

  it('takes the defaults for a card that it does not see', () => {
    expect(capacitySettings(AUTO, undefined, 30)).toMatchObject({
      start: DEFAULT_CAPACITY.start,
      ceiling: DEFAULT_CAPACITY.ceiling,
    });
  });

  it('offers no more than vLLM steps at once', () => {
    expect(capacitySettings({ ...AUTO, maxNumSeqs: 20 }, H100, 30)).toMatchObject({
      start: 20,
      ceiling: 20,
    });
  });

  it('lets the operator say, within the bounds', () => {
    const env = {
      floor: 4,
      ceiling: 20,
      start: 50,
      targetFrameLatencyMs: 100,
      memoryUtilization: 0.9,
      maxNumSeqs: 0,
    };
    expect(capacitySettings(env, H100, 30)).toMatchObject({
      floor: 4,
      ceiling: 20,
      start: 20,
      targetFrameLatencyMs: 100,
    });
    expect(
      capacitySettings({ ...AUTO, floor: 3 }, { name: 'tiny', memoryMib: 4_096 }, 30),
    ).toMatchObject({
      start: 3,
    });
  });
});
