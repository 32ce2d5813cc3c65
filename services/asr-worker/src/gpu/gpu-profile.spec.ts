import { describe, expect, it } from '@jest/globals';
import { gpuProfile } from './gpu-profile.ts';

const gpu = (name: string, memoryMib: number) => ({ name, memoryMib });

describe('Y45: tokens batched in one step', () => {
  it.each([
    ['NVIDIA H100 80GB HBM3', 4096],
    ['NVIDIA H100 PCIe', 4096],
    ['NVIDIA B200', 4096],
    ['NVIDIA GB200', 4096],
    ['NVIDIA RTX 9000', 4096],
    ['NVIDIA L40S', 2048],
    ['NVIDIA L40', 2048],
    ['NVIDIA RTX 6000 Ada Generation', 2048],
    ['NVIDIA A100-SXM4-80GB', 2048],
  ])('are known for %s: %i', (name, tokens) => {
    const profile = gpuProfile(gpu(name, 46_068));
    expect(profile).toMatchObject({ maxBatchedTokens: tokens, notes: [] });
  });

  it.each([
    'NVIDIA H200',
    'NVIDIA L4',
    'NVIDIA A10',
    'Tesla T4',
    'NVIDIA RTX PRO 6000 Blackwell Server Edition',
    'NVIDIA RTX A1000',
    'NVIDIA GeForce RTX 4090',
  ])('are a safe 2048 for %s, with a note and without a refusal', (name) => {
    const profile = gpuProfile(gpu(name, 46_068));
    expect(profile.maxBatchedTokens).toBe(2048);
    expect(profile.notes).toEqual([expect.stringContaining(name)]);
  });

  it('are a safe 2048 without any card', () => {
    expect(gpuProfile(undefined).maxBatchedTokens).toBe(2048);
  });
});

describe('the sessions to plan with', () => {
  it.each([
    ['NVIDIA L40S', 46_068, 32],
    ['NVIDIA A100-SXM4-80GB', 81_920, 64],
    ['NVIDIA A100 80GB PCIe', 81_920, 64],
    ['NVIDIA H100 80GB HBM3', 81_559, 64],
    ['NVIDIA H100 NVL', 95_830, 64],
    ['NVIDIA H200', 143_771, 96],
  ])('were planned for %s: %#', (name, memoryMib, slots) => {
    expect(gpuProfile(gpu(name, memoryMib)).planningSlots).toBe(slots);
  });

  // (0.9 x memory - 11.25 GiB) / 880 MiB
  it.each([
    ['NVIDIA A100-SXM4-40GB', 40_960, 28],
    ['NVIDIA H100 80GB HBM3 MIG 3g.40gb', 38_146, 25],
    ['NVIDIA A10', 23_028, 10],
    ['NVIDIA L4', 23_034, 10],
    ['Tesla T4', 15_360, 2],
  ])('follow from the memory of %s: %#', (name, memoryMib, slots) => {
    expect(gpuProfile(gpu(name, memoryMib)).planningSlots).toBe(slots);
  });

  it.each([
    ['NVIDIA B200', 183_359],
    ['NVIDIA GB10', 122_570],
    ['NVIDIA RTX 6000 Ada', 49_140],
  ] as const)(
    'are no more on %s than the least that was planned: its bandwidth is not known',
    (name, memoryMib) => {
      expect(gpuProfile(gpu(name, memoryMib)).planningSlots).toBe(32);
    },
  );

  it('are those of a 16 GB card without any card', () => {
    expect(gpuProfile(undefined).planningSlots).toBe(3);
  });

  it('are at least one, with a warning where not one utterance fits', () => {
    const { planningSlots, notes } = gpuProfile(gpu('NVIDIA A100 MIG 1g.10gb', 9_536));
    expect(planningSlots).toBe(1);
    expect(notes).toEqual([expect.stringContaining('out of memory')]);
  });
});
