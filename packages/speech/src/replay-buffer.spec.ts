import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ReplayBuffer } from './replay-buffer.ts';

/** Audio in which each sample tells its number. */
function counted(fromSample: number, samples: number): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  for (let at = 0; at < samples; at += 1) pcm.writeInt16LE((fromSample + at) % 30_000, at * 2);
  return pcm;
}

const held = (buffer: ReplayBuffer, from: number): Buffer =>
  Buffer.concat([...buffer.pieces(from)]);

describe('ReplayBuffer', () => {
  it('gives back exactly the samples asked for, however they came and were forgotten', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('append' as const),
        samples: fc.integer({ max: 20_000, min: 0 }),
      }),
      fc.record({ kind: fc.constant('forget' as const), back: fc.nat(30_000) }),
    );
    fc.assert(
      fc.property(fc.nat(100_000), fc.array(step), fc.nat(60_000), (base, steps, back) => {
        const maxSamples = 40_000;
        const buffer = new ReplayBuffer(maxSamples, base);
        let end = base;
        let from = base;
        for (const one of steps) {
          if (one.kind === 'append') {
            buffer.append(counted(end, one.samples));
            end += one.samples;
            from = Math.max(from, end - maxSamples);
          } else {
            buffer.forgetBefore(end - one.back);
            from = Math.max(from, end - one.back);
          }
          expect([buffer.fromSample, buffer.endSample]).toEqual([from, end]);
        }
        const start = Math.max(from, end - back);
        expect(held(buffer, end - back).equals(counted(start, end - start))).toBe(true);
      }),
    );
  });

  it('gives views that later audio does not change', () => {
    const buffer = new ReplayBuffer(1_000_000, 0);
    buffer.append(counted(0, 5_000));
    const before = [...buffer.pieces(0)];
    buffer.append(counted(5_000, 50_000));
    buffer.forgetBefore(50_000);
    expect(Buffer.concat(before).equals(counted(0, 5_000))).toBe(true);
  });

  it('refuses half a sample', () => {
    expect(() => new ReplayBuffer(10, 0).append(Buffer.alloc(3))).toThrow(RangeError);
  });
});
