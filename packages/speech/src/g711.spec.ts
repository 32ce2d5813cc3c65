import { describe, expect, it } from '@jest/globals';
import { encodeG711, g711Table } from './g711.ts';

describe.each(['mulaw', 'alaw'] as const)('G.711 %s', (law) => {
  const table = g711Table(law);

  it('gives back each value that it knows', () => {
    for (const [byte, value] of table.entries()) {
      const [again = -1] = encodeG711(law, Int16Array.of(value));
      // µ-law has two bytes for nothing at all.
      expect(again === byte || table[again] === value).toBe(true);
    }
  });

  it('puts every sample within half a step of what is heard', () => {
    const known = [...new Set(table)].sort((a, b) => a - b);
    for (let sample = -32_768; sample <= 32_767; sample += 1) {
      const [byte = 0] = encodeG711(law, Int16Array.of(sample));
      const value = table[byte] as number;
      const at = known.indexOf(value);
      const below = known[at - 1] ?? Number.NEGATIVE_INFINITY;
      const above = known[at + 1] ?? Number.POSITIVE_INFINITY;
      // The steps beside it are of two sizes where an exponent begins.
      if (sample <= below || sample >= above) throw new Error(`${sample} is heard as ${value}`);
    }
    expect(known.length).toBeGreaterThan(250);
  });
});
