import { describe, expect, it } from '@jest/globals';
import { childEnv } from './child-env.ts';

describe('childEnv', () => {
  it('passes paths and threads, and no key', () => {
    const env = {
      PATH: '/usr/bin',
      LC_ALL: 'C',
      OMP_NUM_THREADS: '4',
      VOX_DECODER_KV_FP16: '0',
      VOXTRAL_API_KEY: 'secret',
      VLLM_API_KEY: 'secret',
      HF_TOKEN: 'secret',
      REDIS_URL: 'redis://:secret@host',
      HOME: undefined,
    };
    expect(childEnv(env)).toEqual({
      PATH: '/usr/bin',
      LC_ALL: 'C',
      OMP_NUM_THREADS: '4',
      VOX_DECODER_KV_FP16: '0',
    });
  });
});
