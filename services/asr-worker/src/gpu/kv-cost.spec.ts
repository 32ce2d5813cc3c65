import { describe, expect, it } from '@jest/globals';
import {
  kvPoolGib,
  meanKvMib,
  meanSessions,
  safeSessions,
  utteranceKvMib,
  utteranceTokens,
} from './kv-cost.ts';

describe('utteranceKvMib', () => {
  it.each([
    [5, 128],
    [10, 208],
    [15, 272],
    [30, 480],
    [60, 880],
    [300, 1248],
    [11 * 60, 1808],
    [3 * 3600, 1808],
  ])('an utterance of %p s holds %p MiB', (seconds, mib) => {
    expect(utteranceKvMib(seconds)).toBe(mib);
  });

  it('has the shape a user saw on a 24 GB card: 10 % in a minute, 1 % more each minute, 19 to 20 % at most', () => {
    const first = utteranceKvMib(60);
    const laterPerMinute = (utteranceKvMib(6 * 60) - first) / 5;
    expect(laterPerMinute / first).toBeCloseTo(0.107, 1);
    expect(utteranceKvMib(3600) / first).toBeCloseTo(2.05, 2);
  });

  it('counts the prompt of another delay', () => {
    expect(utteranceTokens(10)).toBe(39 + 125);
    expect(utteranceTokens(10, 2400)).toBe(33 + 30 + 125);
    // 189 tokens instead of 164: one more block of 16 encoder tokens.
    expect(utteranceKvMib(10, 2400) - utteranceKvMib(10)).toBe(16);
  });
});

/** MiB as nvidia-smi reports them, and the table the formula was published with. */
const TABLE: [
  name: string,
  mib: number,
  poolGib: number,
  safe: readonly number[],
  rolling: number,
][] = [
  ['L40S 48', 46_068, 29.2, [110, 62, 34, 23, 16], 107],
  ['A100 40', 40_960, 24.7, [93, 52, 28, 20, 14], 91],
  ['A100 80', 81_920, 60.7, [228, 129, 70, 49, 34], 224],
  ['H100 80', 81_559, 60.4, [227, 128, 70, 49, 34], 223],
  ['H200 141', 143_771, 115.1, [433, 245, 133, 94, 65], 425],
];

describe('sessions per GPU', () => {
  it.each(TABLE)('%s', (_name, mib, poolGib, safe, rolling) => {
    const pool = kvPoolGib(mib / 1024, 0.9);
    expect(Math.abs(pool - poolGib)).toBeLessThan(0.06);
    expect([15, 30, 60, 300, 660].map((seconds) => safeSessions(pool, seconds))).toEqual(safe);
    expect(meanSessions(pool, 30)).toBe(rolling);
  });

  it('has no pool and no session where the model does not fit', () => {
    expect(kvPoolGib(12, 0.9)).toBe(0);
    expect(safeSessions(kvPoolGib(12, 0.9), 30)).toBe(0);
  });

  it('takes the mean of a roll shorter than a second as that of its first second', () => {
    expect(meanKvMib(0.2)).toBe(utteranceKvMib(1));
    expect(meanKvMib(0)).toBe(utteranceKvMib(1));
  });
});
