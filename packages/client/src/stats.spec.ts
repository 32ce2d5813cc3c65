import { describe, expect, it } from '@jest/globals';
import { average, percentile, summarize } from './stats.ts';

describe('stats', () => {
  it('takes the nearest rank over n-1, whatever the order', () => {
    const values = [50, 10, 40, 20, 30];
    expect(percentile(values, 0)).toBe(10);
    expect(percentile(values, 0.5)).toBe(30);
    expect(percentile(values, 0.95)).toBe(50);
    expect(percentile([10, 20], 0.5)).toBe(20);
  });

  it('leaves the values in their order', () => {
    const values = [3, 1, 2];
    percentile(values, 0.5);
    expect(values).toEqual([3, 1, 2]);
  });

  it('has no figure for no values', () => {
    expect(average([])).toBeUndefined();
    expect(percentile([], 0.5)).toBeUndefined();
    expect(summarize([])).toBeUndefined();
  });

  it('summarises', () => {
    expect(summarize([1, 2, 6])).toEqual({ avg: 3, p50: 2, p95: 6 });
  });
});
