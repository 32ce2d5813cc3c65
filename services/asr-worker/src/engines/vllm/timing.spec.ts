import { describe, expect, it } from '@jest/globals';
import { DeltaTiming } from './timing.ts';

const ms = (value: number): number => value * 16;

describe('DeltaTiming', () => {
  const timing = new DeltaTiming(6);

  it('knows when the first delta is due: 562.5 ms of audio at a delay of 480 ms', () => {
    expect(timing.neededFor(0)).toBe(ms(562.5));
    expect(timing.deltasFor(ms(562))).toBe(0);
    expect(timing.deltasFor(ms(563))).toBe(1);
    expect(timing.deltasFor(ms(562.5 + 80))).toBe(2);
  });

  it.each([
    [1_000, 23],
    [10_000, 135],
    [15_000, 210 - 12],
  ])('counts the deltas of %d ms in all', (durationMs, deltas) => {
    const formula = Math.floor((16 * durationMs + 12_760) / 1_280) + 1;
    expect(timing.deltasInAll(ms(durationMs))).toBe(formula);
    expect(formula).toBe(deltas);
  });

  it('expects 11 deltas of the shortest audio', () => {
    expect(timing.deltasInAll(1)).toBe(11);
  });

  it('reads the delay from the usage', () => {
    expect(DeltaTiming.fromPromptTokens(39)?.delayFrames).toBe(6);
    expect(DeltaTiming.fromPromptTokens(39)?.promptTokens).toBe(39);
    for (const odd of [0, 33, 64, 4_000]) expect(DeltaTiming.fromPromptTokens(odd)).toBeUndefined();
  });
});
