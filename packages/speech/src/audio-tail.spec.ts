import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AudioTail } from './audio-tail.ts';

describe('AudioTail', () => {
  it('returns all there is while less than asked for was appended', () => {
    const tail = new AudioTail(4, 100);
    tail.append(Buffer.from('aabb'));
    expect(tail.slice(100, 3).toString()).toBe('aabb');
    expect([tail.fromSample, tail.endSample]).toEqual([100, 102]);
  });

  it('returns a copy that later audio does not change', () => {
    const tail = new AudioTail(2);
    tail.append(Buffer.from('aabb'));
    const copy = tail.slice(0, 2);
    tail.append(Buffer.from('cc'));
    expect(copy.toString()).toBe('aabb');
  });

  it('starts anew after a reset', () => {
    const tail = new AudioTail(2);
    tail.append(Buffer.from('aabb'));
    tail.reset(50);
    expect(tail.slice(48, 4)).toHaveLength(0);
    expect(tail.fromSample).toBe(50);
  });

  it('holds the newest samples whatever the chunks', () => {
    fc.assert(
      fc.property(
        fc.nat(9),
        fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 20 }),
        fc.nat(150),
        fc.nat(12),
        (maxSamples, chunks, fromSample, wanted) => {
          const tail = new AudioTail(maxSamples);
          const pcm = chunks.map((bytes) => Buffer.from(bytes.subarray(0, bytes.length & ~1)));
          for (const chunk of pcm) tail.append(chunk);
          const all = Buffer.concat(pcm);
          const held = Math.max(0, all.length - maxSamples * 2);
          expect(tail.slice(fromSample, wanted)).toEqual(
            all.subarray(Math.max(held, fromSample * 2), Math.max(held, (fromSample + wanted) * 2)),
          );
          expect(tail.endSample).toBe(all.length / 2);
          expect(tail.fromSample).toBe(Math.max(0, all.length / 2 - maxSamples));
        },
      ),
    );
  });
});
