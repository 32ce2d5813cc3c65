import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FrameQueue } from './frame-queue.ts';

const FRAME = 3;
const MAX = 100;

describe('FrameQueue', () => {
  it('gives back what it was given, in order, however it grows and goes round', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 500 }), (adds) => {
        const queue = new FrameQueue(FRAME, MAX);
        const expected: number[] = [];
        let next = 0;
        for (const add of adds) {
          if (add && !queue.full) {
            queue.add(next, next % 3).fill(next);
            expected.push(next);
            next += 1;
          } else if (queue.length > 0) {
            const first = expected.shift() ?? -1;
            expect(Array.from(queue.headFrame)).toEqual([first, first, first]);
            expect([queue.headMs, queue.headMark]).toEqual([first, first % 3]);
            queue.shift();
          }
          expect(queue.length).toBe(expected.length);
        }
      }),
    );
  });

  it('is full at its bound and not before', () => {
    const queue = new FrameQueue(FRAME, MAX);
    for (let nth = 0; nth < MAX; nth += 1) {
      expect(queue.full).toBe(false);
      queue.add(0, 0);
    }
    expect(queue.full).toBe(true);
    queue.shift();
    expect(queue.full).toBe(false);
  });
});
