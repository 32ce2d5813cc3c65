import { describe, expect, it } from '@jest/globals';
import { msToSamples } from './pcm.ts';

describe('msToSamples', () => {
  it('rounds to whole samples', () => {
    expect(msToSamples(80)).toBe(1_280);
    expect(msToSamples(0.05)).toBe(1);
  });
});
