import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AudioQueue } from './audio-queue.ts';

function numbered(samples: number, from = 0): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  for (let index = 0; index < samples; index += 1)
    pcm.writeUInt16LE((from + index) & 0xffff, index * 2);
  return pcm;
}

describe('AudioQueue', () => {
  it('returns nothing while it is empty', () => {
    expect(new AudioQueue(10).take(5)).toBeUndefined();
  });

  it('takes as much as was asked for across chunks', () => {
    const queue = new AudioQueue(0);
    queue.push(numbered(3_000));
    queue.push(numbered(10, 3_000));
    expect(queue.take(3_005)).toEqual(numbered(3_005));
    expect([queue.samples, queue.headSample]).toEqual([5, 3_005]);
  });

  it('drops the oldest audio when full and moves the clock on', () => {
    const queue = new AudioQueue(4, 100);
    queue.push(numbered(3));
    expect(queue.push(numbered(3, 3))).toBe(2);
    expect(queue.headSample).toBe(102);
    expect(queue.take(9)).toEqual(numbered(4, 2));
  });

  it('keeps a chunk whole that is longer than the bound, at the cost of all before it', () => {
    const queue = new AudioQueue(4);
    queue.push(numbered(2));
    expect(queue.push(numbered(10, 2))).toBe(2);
    expect(queue.headSample).toBe(2);
    expect(queue.push(numbered(1, 12))).toBe(7);
    expect(queue.take(9)).toEqual(numbered(4, 9));
  });

  it('moves the clock over what clear forgets and to where reset says', () => {
    const queue = new AudioQueue(0);
    queue.push(numbered(7));
    queue.clear();
    expect([queue.samples, queue.headSample]).toEqual([0, 7]);
    queue.reset(500);
    queue.push(numbered(1));
    expect(queue.headSample).toBe(500);
  });

  it('refuses half a sample', () => {
    expect(() => new AudioQueue(0).push(Buffer.alloc(3))).toThrow(RangeError);
  });

  it('hands out large chunks without copying them', () => {
    const queue = new AudioQueue(0);
    const chunk = numbered(40_000);
    queue.push(chunk);
    expect(queue.take(1_000)?.buffer).toBe(chunk.buffer);
  });

  it('collects tiny chunks in few buffers', () => {
    const queue = new AudioQueue(0);
    for (let index = 0; index < 10_000; index += 1) queue.push(numbered(1, index));
    const buffers = new Set<ArrayBufferLike>();
    for (let index = 0; index < 10_000; index += 1) {
      const taken = queue.take(1);
      expect(taken?.readUInt16LE(0)).toBe(index);
      if (taken) buffers.add(taken.buffer);
    }
    expect(buffers.size).toBe(2);
  });

  it.each([10, 5_000])(
    'does not hold on to the buffer a view of %i samples came from',
    (samples) => {
      const queue = new AudioQueue(0);
      const large = numbered(1_000_000);
      queue.push(large.subarray(0, samples * 2));
      expect(queue.take(samples)?.buffer).not.toBe(large.buffer);
    },
  );

  it('does not hold on to a large chunk of which most is gone', () => {
    const queue = new AudioQueue(0);
    const large = numbered(1_000_000);
    queue.push(large);
    queue.take(900_000);
    const rest = queue.take(100_000);
    expect(rest?.buffer).not.toBe(large.buffer);
    expect(rest).toEqual(numbered(100_000, 900_000));
  });

  it('gives out, in order, exactly what it did not drop', () => {
    const step = fc.oneof(
      fc.record({ push: fc.oneof(fc.nat(20), fc.nat(6_000)) }),
      fc.record({ take: fc.oneof(fc.nat(20), fc.nat(9_000)) }),
    );
    fc.assert(
      fc.property(fc.nat(8_000), fc.array(step, { maxLength: 60 }), (bound, steps) => {
        const queue = new AudioQueue(bound);
        let pushed = 0;
        let head = 0;
        for (const each of steps) {
          if ('push' in each) {
            head += queue.push(numbered(each.push, pushed));
            pushed += each.push;
            if (bound > 0) expect(queue.samples).toBeLessThanOrEqual(Math.max(bound, each.push));
          } else {
            const samples = Math.min(each.take, pushed - head);
            const expected = samples > 0 ? numbered(samples, head) : undefined;
            expect(queue.take(each.take)?.equals(expected ?? Buffer.alloc(0))).toBe(
              expected && true,
            );
            head += samples;
          }
          expect([queue.headSample, queue.samples]).toEqual([head, pushed - head]);
        }
      }),
    );
  });
});
