import { describe, expect, it } from '@jest/globals';
import { backoffMs } from './backoff.ts';

describe('backoffMs', () => {
  it('doubles from its base up to its cap', () => {
    const longest = [0, 1, 2, 3, 4].map((attempt) => backoffMs(attempt, 100, 1_000, () => 1));
    expect(longest).toEqual([100, 200, 400, 800, 1_000]);
  });

  it('is spread over the upper half', () => {
    expect(backoffMs(2, 100, 1_000, () => 0)).toBe(200);
    expect(backoffMs(2, 100, 1_000, () => 0.5)).toBe(300);
  });

  it('stays at its cap after any number of attempts', () => {
    expect(backoffMs(10_000, 100, 5_000, () => 1)).toBe(5_000);
  });

  it('draws its own spread where none is given', () => {
    const delays = new Set(Array.from({ length: 20 }, () => backoffMs(0, 100, 1_000)));
    expect(delays.size).toBeGreaterThan(1);
    for (const delay of delays) expect(delay >= 50 && delay <= 100).toBe(true);
  });
});
