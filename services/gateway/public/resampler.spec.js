import { describe, expect, it } from '@jest/globals';
import { Resampler } from './resampler.js';

const TO = 16_000;

/** A second of a tone, brought to 16 kHz in the blocks a worklet gets. */
function resample(fromRate, hertz, block = 128) {
  const resampler = new Resampler(fromRate, TO);
  const input = Float32Array.from({ length: fromRate }, (_, index) =>
    Math.sin((2 * Math.PI * hertz * index) / fromRate),
  );
  const output = [];
  for (let at = 0; at < input.length; at += block)
    output.push(...resampler.process(input.subarray(at, at + block)));
  return output;
}

/** How strong one tone is in the middle of the audio, in dB of full scale. */
function strength(samples, hertz) {
  const middle = samples.slice(2_000, 14_000);
  let re = 0;
  let im = 0;
  for (const [index, sample] of middle.entries()) {
    // Under a Hann window, so that tones beside it do not count.
    const window = 1 - Math.cos((2 * Math.PI * index) / middle.length);
    re += sample * window * Math.cos((2 * Math.PI * hertz * index) / TO);
    im += sample * window * Math.sin((2 * Math.PI * hertz * index) / TO);
  }
  return 20 * Math.log10((2 * Math.hypot(re, im)) / middle.length);
}

describe.each([48_000, 44_100, 32_000, 96_000, 22_050, 8_000])('audio at %i Hz', (rate) => {
  it('has as many seconds afterwards', () => {
    expect(Math.abs(resample(rate, 440).length - TO)).toBeLessThan(120);
  });

  it('keeps its tones as loud as they were', () => {
    for (const hertz of [200, 1_000, 3_000]) {
      expect(strength(resample(rate, hertz), hertz)).toBeCloseTo(0, 1);
    }
  });

  it('is the same in whatever blocks it comes', () => {
    expect(resample(rate, 440, 512)).toEqual(resample(rate, 440, 128));
  });
});

describe('tones above what 16 kHz can hold', () => {
  it.each([
    [48_000, 9_000, 7_000],
    [44_100, 12_000, 4_000],
    [96_000, 15_000, 1_000],
  ])('do not come back as others: %i Hz audio, %i Hz tone', (rate, hertz, mirrored) => {
    expect(strength(resample(rate, hertz), mirrored)).toBeLessThan(-75);
  });
});
