import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PartialPacer } from './partial-pacer.ts';

describe('PartialPacer', () => {
  it('tells nothing before half a second of audio came', () => {
    const pacer = new PartialPacer(1000);
    expect(pacer.waitMs('a', 0, 320, 1)).toBe(180);
    expect(pacer.waitMs('a', 0, 500, 1)).toBe(0);
  });

  it('tells nothing when there is nothing new to tell', () => {
    const pacer = new PartialPacer(1000);
    expect(pacer.waitMs('', 0, 5000, 1)).toBeUndefined();
    pacer.told('a', 0, 600);
    expect(pacer.waitMs('a', 5000, 5000, 1)).toBeUndefined();
  });

  it('waits for the interval, and for 200 ms more of audio', () => {
    const pacer = new PartialPacer(1000);
    pacer.told('a', 0, 600);
    expect(pacer.waitMs('a b', 400, 1000, 1)).toBe(600);
    expect(pacer.waitMs('a b', 1000, 700, 1)).toBe(100);
    expect(pacer.waitMs('a b', 1000, 800, 1)).toBe(0);
  });

  it('waits for so many intervals when it is stretched', () => {
    const pacer = new PartialPacer(1000);
    pacer.told('a', 0, 600);
    expect(pacer.waitMs('a b', 1000, 2000, 3)).toBe(2000);
  });

  it('P10: never tells twice within an interval, whatever comes', () => {
    const step = fc.record({ ms: fc.nat(700), audioMs: fc.nat(700), words: fc.nat(2) });
    fc.assert(
      fc.property(fc.integer({ min: 250, max: 3000 }), fc.array(step), (intervalMs, steps) => {
        const pacer = new PartialPacer(intervalMs);
        const told: { ms: number; audioMs: number; text: string }[] = [];
        let [ms, audioMs, text] = [0, 0, ''];
        for (const by of steps) {
          ms += by.ms;
          audioMs += by.audioMs;
          text += 'w'.repeat(by.words);
          if (pacer.waitMs(text, ms, audioMs, 1) !== 0) continue;
          pacer.told(text, ms, audioMs);
          told.push({ ms, audioMs, text });
        }
        for (const [index, one] of told.entries()) {
          const before = told[index - 1];
          expect(one.audioMs).toBeGreaterThanOrEqual(500);
          if (before === undefined) continue;
          expect(one.ms - before.ms).toBeGreaterThanOrEqual(intervalMs);
          expect(one.audioMs - before.audioMs).toBeGreaterThanOrEqual(200);
          expect(one.text).not.toBe(before.text);
        }
      }),
    );
  });
});
