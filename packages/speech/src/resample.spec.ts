import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Resampler, resample } from './resample.ts';

const LEVEL = 0.5;

function tone(hz: number, rate: number, samples: number): Float32Array {
  return Float32Array.from(
    { length: samples },
    (_, at) => LEVEL * Math.sin((2 * Math.PI * hz * at) / rate),
  );
}

/** Power of what is not the tone, against the tone's; edges, where the tone begins and ends, left out. */
function residueDb(pcm: Int16Array, hz: number, rate: number): number {
  const edge = Math.min(2_000, pcm.length >> 2);
  let error = 0;
  let power = 0;
  for (let at = edge; at < pcm.length - edge; at += 1) {
    const wanted = 32_768 * LEVEL * Math.sin((2 * Math.PI * hz * at) / rate);
    error += ((pcm[at] ?? 0) - wanted) ** 2;
    power += wanted ** 2;
  }
  return 10 * Math.log10(error / power);
}

function levelDb(pcm: Int16Array): number {
  const edge = Math.min(2_000, pcm.length >> 2);
  const inner = pcm.subarray(edge, pcm.length - edge);
  const power = inner.reduce((sum, sample) => sum + sample ** 2, 0) / inner.length;
  return 10 * Math.log10(power / ((32_768 * LEVEL) ** 2 / 2));
}

describe('resample', () => {
  it.each([
    [48_000, 16_000, 1_000],
    [48_000, 16_000, 7_000],
    [44_100, 16_000, 7_100],
    [24_000, 16_000, 440],
    [22_050, 16_000, 6_000],
    [11_025, 16_000, 4_900],
    [8_000, 16_000, 3_500],
    [96_000, 16_000, 300],
    // Has more phases than are kept, so these are interpolated.
    [44_099, 16_000, 5_000],
    [16_000, 44_100, 7_000],
    [16_000, 24_000, 7_000],
  ])('keeps a tone, its level and its phase: %i to %i Hz, %i Hz', (from, to, hz) => {
    expect(residueDb(resample(tone(hz, from, from), from, to), hz, to)).toBeLessThan(-80);
  });

  it.each([
    [48_000, 16_000, 8_050],
    [48_000, 16_000, 15_000],
    [44_100, 16_000, 9_000],
    [44_099, 16_000, 12_345],
    [96_000, 16_000, 40_000],
  ])('lets nothing alias: %i to %i Hz, %i Hz', (from, to, hz) => {
    expect(levelDb(resample(tone(hz, from, from), from, to))).toBeLessThan(-80);
  });

  it('has no image of what it makes faster', () => {
    const out = resample(tone(3_000, 8_000, 8_000), 8_000, 16_000);
    // The image would be at 5 kHz: nothing but the tone itself is there.
    expect(residueDb(out, 3_000, 16_000)).toBeLessThan(-80);
  });

  it('leaves samples of the same rate as they are', () => {
    const pcm = Int16Array.of(-32_768, -1, 0, 1, 32_767);
    expect(resample(pcm, 16_000, 16_000)).toEqual(pcm);
    expect(
      resample(
        Float32Array.from(pcm, (x) => x / 32_768),
        16_000,
        16_000,
      ),
    ).toEqual(pcm);
  });

  it('clips what is too loud and takes what is no number for silence', () => {
    const loud = Float32Array.of(2, -2, Number.NaN, Infinity, -Infinity, 1);
    const clipped = Int16Array.of(32_767, -32_768, 0, 32_767, -32_768, 32_767);
    expect(resample(loud, 16_000, 16_000)).toEqual(clipped);
    const odd = new Float32Array(4_800).fill(0.25);
    odd[0] = Number.NaN;
    expect(resample(odd, 48_000, 16_000)[800]).toBe(8_192);
  });

  it('makes the same of floats as of whole numbers', () => {
    const pcm = Int16Array.from(tone(700, 44_100, 4_410), (x) => 32_768 * x);
    const floats = Float32Array.from(pcm, (x) => x / 32_768);
    expect(resample(floats, 44_100, 16_000)).toEqual(resample(pcm, 44_100, 16_000));
  });

  it('makes the same of a stream in any pieces, as long as it was', () => {
    const rate = fc.constantFrom(8_000, 11_025, 22_050, 24_000, 44_099, 44_100, 48_000);
    const pieces = fc.array(
      fc.array(fc.integer({ min: -32_768, max: 32_767 }), { maxLength: 400 }),
    );
    fc.assert(
      fc.property(rate, pieces, (from, parts) => {
        const resampler = new Resampler(from, 16_000);
        const out = parts.flatMap((part) => [...resampler.push(Int16Array.from(part))]);
        out.push(...resampler.flush());
        const whole = parts.flat();
        expect(out).toEqual([...resample(Int16Array.from(whole), from, 16_000)]);
        expect(out).toHaveLength(Math.ceil((whole.length * 16_000) / from));
      }),
      { numRuns: 100 },
    );
  });

  it.each([[0], [-1], [999], [16_000.5], [Number.NaN], [1_000_000]])('refuses %d Hz', (rate) => {
    expect(() => resample(new Int16Array(1), rate, 16_000)).toThrow(RangeError);
  });
});
