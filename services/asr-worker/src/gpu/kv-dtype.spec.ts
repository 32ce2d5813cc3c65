import { describe, expect, it } from '@jest/globals';
import { kvDtype } from './kv-dtype.ts';

const ASKED = { dtype: 'auto', calculateScales: false };
const gpu = (computeCapability?: number) => ({
  name: 'card',
  memoryMib: 46_068,
  ...(computeCapability === undefined ? {} : { computeCapability }),
});

describe('Y47: the type of the KV cache', () => {
  it.each([8.9, 9, 10, 12])(
    'stays auto on capability %f, which could do fp8: both is told',
    (capability) => {
      const { applied, fp8Capable, notes } = kvDtype(ASKED, gpu(capability));
      expect({ applied, fp8Capable }).toEqual({ applied: 'auto', fp8Capable: true });
      expect(notes).toEqual([expect.stringMatching(/has fp8.*FlashAttention/)]);
    },
  );

  it.each([7.5, 8, 8.6])('is auto on capability %f, without a word', (capability) => {
    expect(kvDtype(ASKED, gpu(capability))).toEqual({
      applied: 'auto',
      fp8Capable: false,
      notes: [],
    });
  });

  it('says nothing of a card whose capability is not known', () => {
    expect(kvDtype(ASKED, gpu())).toEqual({ applied: 'auto', notes: [] });
    expect(kvDtype(ASKED, undefined)).toEqual({ applied: 'auto', notes: [] });
  });

  it.each(['fp8', 'fp8_e4m3', 'fp8_e5m2', 'nonsense'])(
    'stays auto where the environment asks for %s, with the reason',
    (dtype) => {
      for (const card of [gpu(8.9), gpu(8), undefined]) {
        const { applied, notes } = kvDtype({ ...ASKED, dtype }, card);
        expect(applied).toBe('auto');
        expect(notes).toEqual([expect.stringContaining(`VLLM_KV_CACHE_DTYPE=${dtype}`)]);
      }
    },
  );

  it('leaves out scales, which fp8 only has', () => {
    const { notes } = kvDtype({ ...ASKED, calculateScales: true }, gpu(8));
    expect(notes).toEqual([expect.stringContaining('VLLM_CALCULATE_KV_SCALES')]);
  });
});
