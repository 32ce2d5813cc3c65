import { describe, expect, it } from '@jest/globals';
import { encodedAudio, keepEncoded } from './encoded-audio.ts';

describe('encodedAudio', () => {
  it('is base64, made once for a piece that is kept', () => {
    const [plain, kept] = [Buffer.of(1, 2, 3), Buffer.of(1, 2, 3)];
    keepEncoded(kept);
    // Changed afterwards to show which is made anew; nobody else may.
    plain[0] = 9;
    kept[0] = 9;
    expect(encodedAudio(plain)).toBe(Buffer.of(9, 2, 3).toString('base64'));
    expect(encodedAudio(kept)).toBe(Buffer.of(1, 2, 3).toString('base64'));
  });
});
