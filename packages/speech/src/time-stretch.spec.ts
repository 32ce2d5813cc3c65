import { describe, expect, it } from '@jest/globals';
import { TimeStretch } from './time-stretch.ts';

const RATE = 24_000;
const HZ = 150;

function tone(seconds: number): Int16Array {
  return Int16Array.from({ length: RATE * seconds }, (_, at) =>
    Math.round(10_000 * Math.sin((2 * Math.PI * HZ * at) / RATE)),
  );
}

function stretched(pcm: Int16Array, speed: number, size = 1_000): Int16Array {
  const stretch = new TimeStretch(speed, RATE);
  const samples: number[] = [];
  for (let at = 0; at < pcm.length; at += size)
    samples.push(...stretch.push(pcm.subarray(at, at + size)));
  samples.push(...stretch.flush());
  return Int16Array.from(samples);
}

function crossings(pcm: Int16Array): number {
  let count = 0;
  for (let at = 1; at < pcm.length; at += 1)
    if ((pcm[at - 1] as number) < 0 && (pcm[at] as number) >= 0) count += 1;
  return count;
}

describe('speech at another speed', () => {
  it.each([0.25, 0.5, 0.9, 1.3, 2, 4])(
    'of %d is so much shorter, and as high as before',
    (speed) => {
      const pcm = tone(2);
      const out = stretched(pcm, speed);
      expect(out.length).toBe(Math.round(pcm.length / speed));
      const seconds = out.length / RATE;
      expect(Math.abs(crossings(out) / seconds - HZ)).toBeLessThan(HZ * 0.06);
      const peak = out.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      expect(peak).toBeGreaterThan(9_000);
      expect(peak).toBeLessThan(10_500);
    },
  );

  it('of 1 is left as it is', () => {
    const pcm = tone(0.1);
    expect(stretched(pcm, 1)).toEqual(pcm);
  });

  it('does not depend on how it comes in', () => {
    const pcm = tone(0.5);
    expect(stretched(pcm, 1.7, 37)).toEqual(stretched(pcm, 1.7, 12_000));
  });

  it('of something shorter than a slice, or of nothing, is no fault', () => {
    expect(stretched(tone(0.01), 2).length).toBe(120);
    expect(stretched(new Int16Array(0), 2).length).toBe(0);
  });

  it('is refused where no voice could be understood', () => {
    for (const speed of [0.2, 5, Number.NaN])
      expect(() => new TimeStretch(speed, RATE)).toThrow(RangeError);
  });
});
