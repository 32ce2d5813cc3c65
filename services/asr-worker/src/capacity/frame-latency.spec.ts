import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { FrameLatency } from './frame-latency.ts';

describe('FrameLatency', () => {
  it('knows nothing before the first frame, and after a reset', () => {
    const latency = new FrameLatency();
    expect(latency.percentile(0.5)).toBeUndefined();
    latency.record(20);
    expect(latency.count).toBe(1);
    latency.reset();
    expect(latency.count).toBe(0);
    expect(latency.maxMs).toBe(0);
    expect(latency.percentile(0.95)).toBeUndefined();
  });

  it('interpolates: the percentiles of an even spread are off by less than 1 %', () => {
    const latency = new FrameLatency();
    for (let ms = 50; ms <= 150; ms += 0.01) latency.record(ms);
    expect(latency.percentile(0.5)).toBeCloseTo(100, -1);
    for (const [part, exactMs] of [
      [0.5, 100],
      [0.95, 145],
      [0.99, 149],
    ] as const) {
      const ms = latency.percentile(part) ?? 0;
      expect(Math.abs(ms - exactMs) / exactMs).toBeLessThan(0.01);
    }
  });

  it('is within one bucket, 9 %, of any true percentile', () => {
    const latencies = fc.array(fc.double({ min: 1.1, max: 60_000, noNaN: true }), { minLength: 1 });
    const parts = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(latencies, parts, (values, part) => {
        const latency = new FrameLatency();
        for (const value of values) latency.record(value);
        const sorted = [...values].sort((one, other) => one - other);
        const exactMs = sorted[Math.ceil(part * sorted.length - 1e-9) - 1] ?? 0;
        const ms = latency.percentile(part) ?? 0;
        expect(ms / exactMs).toBeGreaterThan(0.917);
        expect(ms / exactMs).toBeLessThan(1.0906);
      }),
    );
  });

  it('takes zero and hours, and leaves out what is no latency', () => {
    const latency = new FrameLatency();
    for (const ms of [0, 0.5, 7_200_000]) latency.record(ms);
    for (const ms of [-1, Number.NaN]) latency.record(ms);
    expect(latency.count).toBe(3);
    expect(latency.maxMs).toBe(7_200_000);
    expect(latency.percentile(1)).toBe(7_200_000);
    expect(latency.percentile(0.5)).toBeLessThanOrEqual(1.1);
  });
});
