import { describe, expect, it } from '@jest/globals';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import fc from 'fast-check';
import { AudioQuota, WARN_PERCENT } from './audio-quota.ts';

const MINUTES = 10;
const MAX = MINUTES * 60 * SAMPLE_RATE;
const DAY = '2026-05-01';

describe('AudioQuota', () => {
  const given = (quota: AudioQuota, samples: number, day = DAY): number[] =>
    quota.check(samples, day).warnings.map(({ percent }) => percent);

  it('warns at 80 % and at 95 %, once each', () => {
    const quota = new AudioQuota(MINUTES);
    expect(given(quota, MAX * 0.8 - 1)).toEqual([]);
    expect(given(quota, MAX * 0.8)).toEqual([80]);
    expect(given(quota, MAX * 0.9)).toEqual([]);
    expect(given(quota, MAX * 0.95)).toEqual([95]);
    expect(given(quota, MAX * 0.99)).toEqual([]);
  });

  it('says what is used and allowed in seconds', () => {
    const { warnings } = new AudioQuota(MINUTES).check(MAX * 0.85, DAY);
    expect(warnings).toEqual([{ percent: 80, used: MINUTES * 60 * 0.85, max: MINUTES * 60 }]);
  });

  it('gives both warnings with a jump beyond both', () => {
    expect(given(new AudioQuota(MINUTES), MAX + 5)).toEqual([80, 95]);
  });

  it('is exhausted from the last allowed sample on', () => {
    const quota = new AudioQuota(MINUTES);
    expect(quota.check(MAX - 1, DAY).exhausted).toBe(false);
    expect(quota.check(MAX, DAY).exhausted).toBe(true);
    expect(quota.check(MAX + 1, DAY).exhausted).toBe(true);
  });

  it('warns anew on another day, even if as much is used by then', () => {
    const quota = new AudioQuota(MINUTES);
    expect(given(quota, MAX * 0.9)).toEqual([80]);
    expect(given(quota, MAX * 0.9, '2026-05-02')).toEqual([80]);
    expect(given(quota, MAX * 0.9, '2026-05-02')).toEqual([]);
  });

  it('knows no limit where the tenant has none', () => {
    expect(new AudioQuota(0).check(Number.MAX_SAFE_INTEGER, DAY)).toEqual({
      warnings: [],
      exhausted: false,
    });
  });

  it('never gives a warning twice a day, and has given all that are due', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(MAX + 10), { minLength: 1 }), (looks) => {
        const quota = new AudioQuota(MINUTES);
        const seen = looks.flatMap((samples) => given(quota, samples));
        const most = Math.max(...looks);
        expect(seen).toEqual(WARN_PERCENT.filter((percent) => most * 100 >= MAX * percent));
      }),
    );
  });
});
