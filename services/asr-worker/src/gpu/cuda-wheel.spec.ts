import { describe, expect, it } from '@jest/globals';
import {
  installation,
  torchWheel,
  VLLM_VERSION,
  type VllmSource,
  type WheelInput,
} from './cuda-wheel.ts';

const TORCH_INDEX = 'https://mirror.example/torch';
const VLLM_INDEX = 'https://mirror.example/vllm';
const VLLM_WHEEL = 'https://mirror.example/vllm.whl';

describe('Y48: the build of PyTorch', () => {
  it.each([
    ['12.6', 'cu126'],
    ['12.7', 'cu127'],
    ['12.8', 'cu128'],
    ['12.9', 'cu128'],
  ])('for CUDA %s is %s', (cudaVersion, torchBackend) => {
    expect(torchWheel({ cudaVersion })).toEqual({
      torchBackend,
      skipped: false,
      notes: torchBackend === 'cu127' ? [expect.stringContaining('TORCH_BACKEND=cu126')] : [],
    });
  });

  it.each(['13.0', '11.8', undefined])('for CUDA %s is cu128, with a warning', (cudaVersion) => {
    const wheel = torchWheel(cudaVersion === undefined ? {} : { cudaVersion });
    const notes = [expect.stringContaining('cu128')];
    expect(wheel).toEqual({ torchBackend: 'cu128', skipped: false, notes });
  });

  it('is not looked for where both variables are set', () => {
    const set = { torchBackend: 'cu130', indexUrl: TORCH_INDEX };
    expect(torchWheel({ ...set, cudaVersion: '11.0' })).toEqual({
      ...set,
      skipped: true,
      notes: [],
    });
  });

  it('follows the one variable that is set', () => {
    expect(torchWheel({ torchBackend: 'cu130', cudaVersion: '12.6' })).toEqual({
      torchBackend: 'cu130',
      skipped: false,
      notes: [],
    });
    expect(torchWheel({ indexUrl: TORCH_INDEX, cudaVersion: '12.7' })).toEqual({
      torchBackend: 'cu127',
      indexUrl: TORCH_INDEX,
      skipped: false,
      notes: [],
    });
  });
});

describe('the command that installs vLLM', () => {
  const line = (input: WheelInput, vllm?: VllmSource): string =>
    installation(torchWheel(input), vllm).command.join(' ');
  const AUDIO = 'mistral-common[audio]>=1.9';

  it('leaves it to uv where PyTorch comes from', () => {
    expect(line({ cudaVersion: '12.6' })).toBe(
      `uv pip install --torch-backend cu126 vllm==${VLLM_VERSION} ${AUDIO}`,
    );
  });

  it('asks another index for vLLM where one is named', () => {
    expect(line({ cudaVersion: '12.6' }, { indexUrl: VLLM_INDEX })).toBe(
      `uv pip install --torch-backend cu126 --extra-index-url ${VLLM_INDEX} vllm==${VLLM_VERSION} ${AUDIO}`,
    );
  });

  it('takes another wheel where one is named, whatever the index', () => {
    const expected = `uv pip install --torch-backend cu128 ${VLLM_WHEEL} ${AUDIO}`;
    expect(line({ cudaVersion: '12.8' }, { wheelUrl: VLLM_WHEEL })).toBe(expected);
    const both = { wheelUrl: VLLM_WHEEL, indexUrl: VLLM_INDEX };
    expect(line({ cudaVersion: '12.8' }, both)).toBe(expected);
  });

  it('takes PyTorch from another index where one is named', () => {
    const input = { indexUrl: TORCH_INDEX, torchBackend: 'cu128' };
    const start = `uv pip install --index-strategy unsafe-best-match --extra-index-url ${TORCH_INDEX}`;
    expect(line(input)).toBe(`${start} vllm==${VLLM_VERSION} ${AUDIO}`);
    expect(line(input, { indexUrl: VLLM_INDEX })).toBe(
      `${start} --extra-index-url ${VLLM_INDEX} vllm==${VLLM_VERSION} ${AUDIO}`,
    );
  });

  it.each<[string, VllmSource, boolean]>([
    ['cu126', {}, true],
    ['cu128', {}, true],
    ['cu130', {}, false],
    ['cu128', { indexUrl: VLLM_INDEX }, false],
    ['cu128', { wheelUrl: VLLM_WHEEL }, false],
  ])(
    'beside %s, with %j, notes that the usual vLLM is for CUDA 13: %s',
    (torchBackend, vllm, told) => {
      const { notes } = installation(torchWheel({ torchBackend }), vllm);
      const note = expect.stringMatching(/CUDA 13 .*VLLM_WHEEL_INDEX_URL .*VLLM_WHEEL_URL /);
      expect(notes).toEqual(told ? [note] : []);
    },
  );
});
