import { describe, expect, it } from '@jest/globals';
import { probeGpu, type Run } from './probe.ts';

const NEW_QUERY =
  '--query-gpu=index,uuid,name,memory.total,compute_cap,mig.mode.current --format=csv,noheader,nounits';
const OLD_QUERY = '--query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits';
const HEADER =
  '| NVIDIA-SMI 570.86.15   Driver Version: 570.86.15   CUDA Version: 12.8     |\n+-----+\n';
const TWO_CARDS = `0, GPU-aaaa-1, NVIDIA A100-SXM4-40GB, 40960, 8.0, Disabled
1, GPU-bbbb-2, NVIDIA L40S, 46068, 8.9, [N/A]
`;
const A100 = { name: 'NVIDIA A100-SXM4-40GB', memoryMib: 40_960, computeCapability: 8 };
const L40S = { name: 'NVIDIA L40S', memoryMib: 46_068, computeCapability: 8.9 };

/** Programs that answer what they are listed with, by command line; all others fail. */
function machine(answers: Record<string, string>): Run {
  return (command, args) => Promise.resolve(answers[[command, ...args].join(' ')]);
}

const two = machine({ [`nvidia-smi ${NEW_QUERY}`]: TWO_CARDS, 'nvidia-smi': HEADER });

describe('the card that is planned for', () => {
  it('is the first one, with its memory, compute capability and CUDA version', async () => {
    expect(await probeGpu(two)).toEqual({ gpu: A100, cudaVersion: '12.8', notes: [] });
  });

  it.each([
    ['', A100],
    ['  ', A100],
    ['1', L40S],
    ['1,0', L40S],
    ['0,1', A100],
    ['GPU-bbbb', L40S],
    ['GPU-bbbb-2,0', L40S],
  ])('follows CUDA_VISIBLE_DEVICES=%j', async (visible, gpu) => {
    expect((await probeGpu(two, visible)).gpu).toEqual(gpu);
  });

  it.each(['-1', '7', '7,0', 'GPU-cccc', 'NoDevFiles', 'GPU', 'MIG-1234'])(
    'is none where CUDA_VISIBLE_DEVICES=%s shows none, and that is told',
    async (visible) => {
      const probe = await probeGpu(two, visible);
      expect(probe.gpu).toBeUndefined();
      expect(probe.cudaVersion).toBe('12.8');
      expect(probe.notes).toEqual([expect.stringMatching(/visible|CUDA_VISIBLE_DEVICES/)]);
    },
  );

  it('needs no compute capability from an old driver', async () => {
    const old = machine({ [`nvidia-smi ${OLD_QUERY}`]: '0, GPU-c, Tesla T4, 15360\n' });
    expect(await probeGpu(old)).toEqual({
      gpu: { name: 'Tesla T4', memoryMib: 15_360 },
      notes: [],
    });
  });

  it.each([
    ['a machine without the driver', {}],
    ['a driver without a card', { [`nvidia-smi ${NEW_QUERY}`]: 'No devices were found\n' }],
    ['a card that does not tell its memory', { [`nvidia-smi ${NEW_QUERY}`]: '0, GPU-a, X, [N/A]' }],
  ])('is absent on %s, with a note and without a fault', async (_what, answers) => {
    const probe = await probeGpu(machine(answers));
    expect(probe).toEqual({ notes: [expect.stringContaining('safe values')] });
  });
});

describe('a card cut into MIG slices', () => {
  const sliced = machine({
    [`nvidia-smi ${NEW_QUERY}`]: `0, GPU-a, NVIDIA H100 80GB HBM3, 81559, 9.0, Enabled
1, GPU-b, NVIDIA H100 80GB HBM3, 81559, 9.0, Enabled
`,
    'nvidia-smi -L': `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-a)
  MIG 3g.40gb     Device  0: (UUID: MIG-11)
  MIG 1g.10gb+me  Device  1: (UUID: MIG-12)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-b)
  MIG 1g.20gb     Device  0: (UUID: MIG-21)
`,
  });
  const slice = (profile: string, memoryMib: number) => ({
    name: `NVIDIA H100 80GB HBM3 MIG ${profile}`,
    memoryMib,
    computeCapability: 9,
  });

  it.each([
    [undefined, slice('3g.40gb', 38_146)],
    ['1', slice('1g.20gb', 19_073)],
    ['MIG-12', slice('1g.10gb+me', 9_536)],
    ['MIG-21', slice('1g.20gb', 19_073)],
    ['MIG-GPU-b/1/0', slice('1g.20gb', 19_073)],
  ])('counts as the slice that CUDA_VISIBLE_DEVICES=%s shows', async (visible, gpu) => {
    expect((await probeGpu(sliced, visible)).gpu).toEqual(gpu);
  });

  it('is unknown where it has no slice', async () => {
    const bare = machine({
      [`nvidia-smi ${NEW_QUERY}`]: '0, GPU-a, NVIDIA H100, 81559, 9.0, Enabled\n',
      'nvidia-smi -L': 'GPU 0: NVIDIA H100 (UUID: GPU-a)\n',
    });
    expect(await probeGpu(bare)).toEqual({ notes: [expect.stringContaining('MIG')] });
  });
});

describe('the CUDA version', () => {
  it('is that of the compiler where the driver does not tell', async () => {
    const answers = { 'nvcc --version': 'Cuda compilation tools, release 12.6, V12.6.85\n' };
    expect((await probeGpu(machine(answers))).cudaVersion).toBe('12.6');
  });

  it('comes from the driver rather than from the compiler', async () => {
    const both = machine({ 'nvidia-smi': HEADER, 'nvcc --version': 'release 11.8, V11' });
    expect((await probeGpu(both)).cudaVersion).toBe('12.8');
  });
});

it('gives every program a time to answer in', async () => {
  const times: number[] = [];
  await probeGpu((_command, _args, timeoutMs) => {
    times.push(timeoutMs);
    return Promise.resolve(undefined);
  });
  expect(times.length).toBeGreaterThan(2);
  expect(Math.max(...times)).toBeLessThanOrEqual(15_000);
  expect(Math.min(...times)).toBeGreaterThan(0);
});
