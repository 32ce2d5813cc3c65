import { describe, expect, it } from '@jest/globals';
import { installCommand, torchWheel, VLLM_VERSION, type WheelInput } from './cuda-wheel.ts';

const INDEX = 'https://download.pytorch.org/whl';

describe('Y48: the build of PyTorch', () => {
  it.each([
    ['12.6', 'cu126'],
    ['12.7', 'cu127'],
    ['12.8', 'cu128'],
    ['12.9', 'cu128'],
  ])('for CUDA %s is %s', (cudaVersion, torchBackend) => {
    expect(torchWheel({ cudaVersion })).toEqual({
      torchBackend,
      indexUrl: `${INDEX}/${torchBackend}`,
      ownIndex: false,
      skipped: false,
      notes: torchBackend === 'cu127' ? [expect.stringContaining('TORCH_BACKEND=cu126')] : [],
    });
  });

  it.each(['13.0', '11.8', undefined])('for CUDA %s is cu128, with a warning', (cudaVersion) => {
    const wheel = torchWheel(cudaVersion === undefined ? {} : { cudaVersion });
    expect(wheel).toMatchObject({ torchBackend: 'cu128', indexUrl: `${INDEX}/cu128` });
    expect(wheel.notes).toEqual([expect.stringContaining('cu128')]);
  });

  it('is not looked for where both variables are set', () => {
    const set = { torchBackend: 'cu130', indexUrl: 'https://mirror/whl' };
    expect(torchWheel({ ...set, cudaVersion: '11.0' })).toEqual({
      ...set,
      ownIndex: true,
      skipped: true,
      notes: [],
    });
  });

  it('follows the one variable that is set', () => {
    expect(torchWheel({ torchBackend: 'cu130', cudaVersion: '12.6' })).toMatchObject({
      torchBackend: 'cu130',
      indexUrl: `${INDEX}/cu130`,
      skipped: false,
      notes: [],
    });
    expect(torchWheel({ indexUrl: 'https://mirror/whl', cudaVersion: '12.6' })).toMatchObject({
      torchBackend: 'cu126',
      indexUrl: 'https://mirror/whl',
      skipped: false,
    });
  });
});

describe('the command that installs vLLM', () => {
  const line = (input: WheelInput, wheelUrl?: string): string =>
    installCommand(torchWheel(input), wheelUrl).join(' ');
  const AUDIO = 'mistral-common[audio]>=1.9';

  it('takes a vLLM for CUDA 12 beside a PyTorch for CUDA 12', () => {
    expect(line({ cudaVersion: '12.6' })).toBe(
      `uv pip install --torch-backend cu126 --extra-index-url https://wheels.vllm.ai/${VLLM_VERSION}/cu129 vllm==${VLLM_VERSION} ${AUDIO}`,
    );
  });

  it('takes the usual vLLM, which is for CUDA 13, beside a PyTorch for CUDA 13', () => {
    expect(line({ torchBackend: 'cu130' })).toBe(
      `uv pip install --torch-backend cu130 vllm==${VLLM_VERSION} ${AUDIO}`,
    );
  });

  it('takes another wheel where one is named', () => {
    expect(line({ cudaVersion: '12.8' }, 'https://host/vllm.whl')).toBe(
      `uv pip install --torch-backend cu128 https://host/vllm.whl ${AUDIO}`,
    );
  });

  it('takes PyTorch from another index where one is named', () => {
    expect(line({ indexUrl: 'https://mirror/whl', torchBackend: 'cu130' })).toBe(
      `uv pip install --index-strategy unsafe-best-match --extra-index-url https://mirror/whl vllm==${VLLM_VERSION} ${AUDIO}`,
    );
  });
});
