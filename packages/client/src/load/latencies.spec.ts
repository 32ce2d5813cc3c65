import { describe, expect, it } from '@jest/globals';
import { Latencies } from './latencies.ts';

function of(...ms: number[]): Latencies {
  const latencies = new Latencies();
  for (const value of ms) latencies.record(value);
  return latencies;
}

describe('Latencies', () => {
  it('tells percentiles to a thousandth, from microseconds to an hour', () => {
    for (const ms of [0.05, 1, 123.4, 9_999, 3_000_000]) {
      const { p50 = 0, max = 0 } = of(ms).summary ?? {};
      expect(Math.abs(p50 / ms - 1)).toBeLessThan(0.001);
      expect(Math.abs(max / ms - 1)).toBeLessThan(0.001);
    }
    const hundred = of(...Array.from({ length: 100 }, (_, i) => i + 1));
    expect(hundred.percentile(95)).toBeCloseTo(95, 0);
    expect(hundred.summary).toMatchObject({ count: 100, avg: expect.closeTo(50.5, 1) });
  });

  it('adds up, and has nothing to say of nothing', () => {
    const all = of(10);
    all.add(of(30, 50));
    all.add(of());
    expect(all.summary).toMatchObject({ count: 3, p50: expect.closeTo(30, 0) });
    expect([of().summary, of().percentile(99)]).toEqual([undefined, undefined]);
  });

  it('counts what is out of range as its end', () => {
    const { max = 0 } = of(0, -3, 7_200_000).summary ?? {};
    expect(Math.abs(max / 3_600_000 - 1)).toBeLessThan(0.001);
  });
});
