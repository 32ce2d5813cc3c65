import { describe, expect, it } from '@jest/globals';
import { maxNumSeqs } from './max-num-seqs.ts';

const USUAL = { memoryUtilization: 0.92, maxModelLen: 1024, maxBatchedTokens: 2048 };

describe('Y46: --max-num-seqs', () => {
  // Memory as nvidia-smi reports it.
  it.each([
    ['L40S', 46_068, 293],
    ['RTX 6000 Ada', 49_140, 317],
    ['A100-40G', 40_960, 252],
    ['A100-80G', 81_920, 512],
    ['H100', 81_559, 512],
    ['H200', 143_771, 512],
    ['B200', 183_359, 512],
    ['A10-24G', 23_028, 109],
    ['a 16 GB card', 15_360, 48],
  ])('is estimated for %s', (_name, memoryMib, seqs) => {
    expect(maxNumSeqs({ ...USUAL, memoryMib })).toEqual({ value: seqs, notes: [] });
  });

  it('takes the weights as they are on the disk', () => {
    const of = (weightBytes: number) =>
      maxNumSeqs({ ...USUAL, memoryMib: 46_068, weightBytes }).value;
    expect(of(8.9e9)).toBe(293);
    expect(of(17.8e9)).toBeLessThan(of(8.9e9));
  });

  it('counts no more tokens a sequence than the window keeps', () => {
    const of = (maxModelLen: number) =>
      maxNumSeqs({ ...USUAL, memoryMib: 46_068, maxModelLen }).value;
    expect(of(2048)).toBe(146);
    expect(of(131_072)).toBe(of(8191 + 2048));
    expect(of(131_072)).toBeLessThan(of(8192));
  });

  it('is one at least', () => {
    expect(maxNumSeqs({ ...USUAL, memoryMib: 8_192 }).value).toBe(1);
  });

  it('is 128 without a card', () => {
    expect(maxNumSeqs(USUAL)).toEqual({ value: 128, notes: [] });
  });

  it.each([1, 7, 512])('is %i where the environment says so', (requested) => {
    const seqs = maxNumSeqs({ ...USUAL, memoryMib: 46_068, requested });
    expect(seqs).toEqual({ value: requested, notes: [] });
  });

  it('is 512 at the most, also where the environment asks for more, which is told', () => {
    const { value, notes } = maxNumSeqs({ ...USUAL, requested: 600 });
    expect(value).toBe(512);
    expect(notes).toEqual([expect.stringContaining('VLLM_MAX_NUM_SEQS=600')]);
  });
});
