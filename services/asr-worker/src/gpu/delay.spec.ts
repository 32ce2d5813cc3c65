import { describe, expect, it } from '@jest/globals';
import { delayWarning, isDelay } from './delay.ts';

const STEPS = Array.from({ length: 30 }, (_, step) => (step + 1) * 80);

describe('Y42: the transcription delay', () => {
  it('may be every multiple of 80 ms from 80 to 2400, and nothing else', () => {
    const taken = Array.from({ length: 5_000 }, (_, delayMs) => delayMs).filter(isDelay);
    expect(taken).toEqual(STEPS);
    expect([-80, 80.5, Number.NaN].filter(isDelay)).toEqual([]);
  });

  it('is warned of where the model card does not list it: above 1200 and below 2400', () => {
    const warned = STEPS.filter((delayMs) => delayWarning(delayMs) !== undefined);
    expect(warned).toEqual(STEPS.filter((delayMs) => delayMs > 1200 && delayMs < 2400));
    expect(delayWarning(1280)).toContain('1280 ms');
  });
});
