import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Framer } from './framer.ts';

describe('Framer', () => {
  it('makes the same whole frames however the audio is cut, and keeps the rest', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 12 }),
        (pieces, samples) => {
          const bytes = samples * 2;
          const framed: Buffer[] = [];
          const framer = new Framer(bytes, (pcm, from) => {
            framed.push(Buffer.from(pcm.subarray(from, from + bytes)));
          });
          for (const piece of pieces) framer.push(Buffer.from(piece));
          const all = Buffer.concat(pieces);
          const whole = all.subarray(0, all.length - (all.length % bytes));
          expect(Buffer.concat(framed)).toEqual(whole);
          expect(framed.every((frame) => frame.length === bytes)).toBe(true);
        },
      ),
    );
  });
});
