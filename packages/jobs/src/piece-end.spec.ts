import { describe, expect, it } from '@jest/globals';
import { pieceEnd } from '@voice-fleet/speech/piece-end';
import { range, SLOT_SAMPLES, speak, WORD_SAMPLES } from '@voice-fleet/testkit/coded-speech';

describe('pieceEnd', () => {
  it('leaves a recording that fits in one piece', () => {
    expect(pieceEnd(speak([1, 2]), 0)).toBe(2 * SLOT_SAMPLES);
  });

  it('cuts between words, and no piece is longer than it may be', () => {
    const pcm = speak(range(100, 139));
    const max = 5 * SLOT_SAMPLES + 900;
    let from = 0;
    while (from < pcm.length / 2) {
      const to = pieceEnd(pcm, from, max);
      expect(to).toBeGreaterThan(from);
      expect(to - from).toBeLessThanOrEqual(max);
      const within = to % SLOT_SAMPLES;
      expect(within === 0 || within >= WORD_SAMPLES).toBe(true);
      from = to;
    }
  });

  it('prefers the longest pause to a later one', () => {
    const pcm = Buffer.concat([speak(range(100, 107)), Buffer.alloc(9600), speak(range(200, 210))]);
    const to = pieceEnd(pcm, 0, 10 * SLOT_SAMPLES);
    expect(to).toBeGreaterThan(7 * SLOT_SAMPLES + WORD_SAMPLES);
    expect(to).toBeLessThan(8 * SLOT_SAMPLES + 4800);
  });
});
