import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import fc from 'fast-check';
import { decodePcm } from './pcm-base64.ts';

const pcmBytes = fc
  .uint8Array({ minLength: 2, maxLength: 300 })
  .map((bytes) => Buffer.from(bytes.subarray(0, bytes.length & ~1)));

/** The code of the VoiceError that `value` is refused with, or undefined when it is taken. */
function refusal(value: unknown): string | undefined {
  try {
    decodePcm(value);
    return undefined;
  } catch (error) {
    if (error instanceof VoiceError) return error.code;
    throw error;
  }
}

describe('decodePcm', () => {
  it('gives back every byte of padded and of unpadded base64', () => {
    fc.assert(
      fc.property(pcmBytes, (pcm) => {
        const text = pcm.toString('base64');
        expect(decodePcm(text).equals(pcm)).toBe(true);
        expect(decodePcm(text.replace(/=+$/, '')).equals(pcm)).toBe(true);
      }),
    );
  });

  it('refuses what is no string, empty or blank as missing audio', () => {
    for (const value of [undefined, null, 0, 1, true, {}, ['AAAA'], '', ' ', '\n\t'])
      expect([value, refusal(value)]).toEqual([value, 'missing_audio']);
  });

  it.each([
    '=',
    '==',
    '====',
    'A',
    'AAAAA',
    'AA AA',
    ' AAAA',
    'AAAA\n',
    'A=AA',
    'AAAA====',
    '!!!!',
    'AAAA*AAA',
    'data:audio/wav;base64,AAAA',
    'é'.repeat(8),
    // Node's decoder looks at the low byte of each character, which here is that of "A".
    'Ł'.repeat(8),
    'AAAAAAA\u{1F600}',
  ])('refuses %j, which is not base64, as invalid audio', (value) => {
    expect(refusal(value)).toBe('invalid_audio');
  });

  it('refuses an odd number of bytes, whatever they are', () => {
    fc.assert(
      fc.property(pcmBytes, (pcm) => {
        const odd = pcm.subarray(1).toString('base64');
        expect(refusal(odd)).toBe('invalid_audio');
      }),
    );
  });

  it('refuses any text with one character that is not base64 in it', () => {
    const stranger = fc
      .string({ minLength: 1, maxLength: 1, unit: 'binary' })
      .filter((char) => !/[\w+/=-]/.test(char));
    fc.assert(
      fc.property(pcmBytes, stranger, fc.nat(), (pcm, char, at) => {
        const text = pcm.toString('base64');
        const cut = at % text.length;
        expect(refusal(text.slice(0, cut) + char + text.slice(cut))).toBe('invalid_audio');
      }),
    );
  });

  it('gives whole samples or a VoiceError for any string at all', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.base64String()),
        (text) => {
          if (refusal(text) !== undefined) return;
          const pcm = decodePcm(text);
          expect(pcm.length).toBeGreaterThan(0);
          expect(pcm.length % 2).toBe(0);
        },
      ),
    );
  });
});
