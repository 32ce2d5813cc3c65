import { describe, expect, it } from '@jest/globals';
import { msToSamples, pcmDurationMs, samplesToMs } from './pcm.ts';

describe('pcm', () => {
  it('converts between samples and milliseconds', () => {
    expect(samplesToMs(1_280)).toBe(80);
    expect(msToSamples(80)).toBe(1_280);
  });

  it('rounds to whole samples', () => {
    expect(msToSamples(0.05)).toBe(1);
  });

  it('tells how long bytes last without counting half a sample', () => {
    expect(pcmDurationMs(2_561)).toBe(80);
  });
});
