import { describe, expect, it } from '@jest/globals';
import { type ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { LaunchEnv, OWN_VARIABLES } from './launch-env.ts';

function faults(env: Record<string, string>): Record<string, string> {
  try {
    parseEnv(LaunchEnv, env);
    return {};
  } catch (error) {
    const found = (error as ConfigError).faults;
    return Object.fromEntries(found.map(({ variable, message }) => [variable, message]));
  }
}

describe('the environment of the launcher', () => {
  it('may be empty', () => {
    expect(parseEnv(LaunchEnv, { VLLM_PORT: '', HF_TOKEN: ' ' })).toEqual({
      modelId: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
      servedName: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
      modelDir: `${process.cwd()}/models/voxtral`,
      delayMs: 400,
      command: ['vllm'],
      host: '127.0.0.1',
      port: 8300,
      hasApiKey: false,
      dtype: 'auto',
      memoryUtilization: 0.92,
      maxModelLen: 1024,
      eager: false,
      kv: { dtype: 'auto', calculateScales: false },
      compilation: { cudagraph_mode: 'PIECEWISE' },
      disableCompileCache: true,
      iterationTimeoutS: 3600,
      extraArgs: [],
      notes: [],
    });
  });

  it.each(['100', '40', '2480', '0', '-80', 'soon'])(
    'Y42: refuses a delay of %s and says once which there are',
    (value) => {
      expect.assertions(1);
      try {
        parseEnv(LaunchEnv, { VOXTRAL_TRANSCRIPTION_DELAY_MS: value });
      } catch (error) {
        expect((error as ConfigError).faults).toEqual([
          {
            variable: 'VOXTRAL_TRANSCRIPTION_DELAY_MS',
            message: `must be a multiple of 80 from 80 to 2400, not "${value}"`,
          },
        ]);
      }
    },
  );

  it.each([
    ['80', 0],
    ['1200', 0],
    ['1280', 1],
    ['2320', 1],
    ['2400', 0],
  ])('Y42: takes a delay of %s with %i warnings', (value, warnings) => {
    const config = parseEnv(LaunchEnv, { VOXTRAL_TRANSCRIPTION_DELAY_MS: value });
    expect(config.delayMs).toBe(Number(value));
    expect(config.notes).toHaveLength(warnings);
  });

  it.each(['0', '-1', '1.01', 'much', 'NaN', 'Infinity'])(
    'takes 0.92 for a memory share of %s, and tells',
    (value) => {
      const config = parseEnv(LaunchEnv, { VLLM_GPU_MEMORY_UTILIZATION: value });
      expect(config.memoryUtilization).toBe(0.92);
      expect(config.notes).toEqual([expect.stringContaining(`=${value} `)]);
    },
  );

  it.each(['1', '0.5', '0.01'])('takes a memory share of %s', (value) => {
    const config = parseEnv(LaunchEnv, { VLLM_GPU_MEMORY_UTILIZATION: value });
    expect(config).toMatchObject({ memoryUtilization: Number(value), notes: [] });
  });

  it('splits commands and flags as a shell would, and runs none', () => {
    const config = parseEnv(LaunchEnv, {
      VLLM_COMMAND: `python3 -m 'vllm entry'`,
      VLLM_EXTRA_ARGS: `--api-server-count 2 --override '{"a": 1}' ; rm`,
    });
    expect(config.command).toEqual(['python3', '-m', 'vllm entry']);
    expect(config.extraArgs).toEqual([
      '--api-server-count',
      '2',
      '--override',
      '{"a": 1}',
      ';',
      'rm',
    ]);
  });

  it.each([
    '--api-key x',
    '--api_key=x',
    '--hf-token x',
    '--kv-cache-dtype fp8',
    '--kv_cache_dtype=fp8',
    '--kv-cache-d fp8',
    '--compilation-config {}',
    '--compilation-config.cudagraph_mode=FULL',
    '-cc.cudagraph_mode=FULL',
    '-O3',
    '--port 1',
    '--max-log-len 9 --max-model-len 4096',
  ])('refuses %s among the extra flags', (value) => {
    expect(faults({ VLLM_EXTRA_ARGS: value })).toEqual({
      VLLM_EXTRA_ARGS: expect.stringMatching(/^must not hold -/),
    });
  });

  it('does not repeat a key that stands among the extra flags', () => {
    const message = faults({ VLLM_EXTRA_ARGS: '--api-key=hunter2' })['VLLM_EXTRA_ARGS'];
    expect(message).toContain('set VLLM_API_KEY');
    expect(message).not.toContain('hunter2');
  });

  it.each([
    ['VOXTRAL_MODEL_ID', 'no-slash'],
    ['VOXTRAL_MODEL_ID', '--help/x'],
    ['VOXTRAL_MODEL_REVISION', '-x'],
    ['VOXTRAL_SERVED_MODEL_NAME', '--host'],
    ['VLLM_COMMAND', `'vllm`],
    ['VLLM_HOST', '--port'],
    ['VLLM_PORT', 'tcp://10.0.0.1:8300'],
    ['VLLM_DTYPE', 'int4'],
    ['VLLM_MAX_MODEL_LEN', '128'],
    ['VLLM_MAX_NUM_SEQS', '-1'],
    ['VLLM_COMPILATION_CONFIG', 'FULL'],
    ['VLLM_ENGINE_ITERATION_TIMEOUT_S', '2'],
    ['VLLM_EXTRA_ARGS', `"`],
    ['PYTORCH_CUDA_INDEX_URL', 'somewhere'],
    ['VLLM_WHEEL_INDEX_URL', '--index-url'],
  ])('refuses %s=%s, naming the variable', (variable, value) => {
    expect(faults({ [variable]: value })).toEqual({
      [variable]: expect.stringMatching(/^must /),
    });
  });

  it('names all faults at once', () => {
    const wrong = { VLLM_PORT: 'x', VLLM_COMMAND: `'`, VLLM_EXTRA_ARGS: '-O3' };
    expect(Object.keys(faults(wrong)).sort()).toEqual(Object.keys(wrong).sort());
  });

  it('holds no secret once it is read', () => {
    const config = parseEnv(LaunchEnv, { HF_TOKEN: 'hunter2', VLLM_API_KEY: 'hunter2' });
    expect(JSON.stringify(config)).not.toContain('hunter2');
    expect(config.hasApiKey).toBe(true);
  });

  it('knows which of its variables vLLM must not see', () => {
    expect(OWN_VARIABLES).toEqual(expect.arrayContaining(['VLLM_PORT', 'VLLM_HOST', 'HF_TOKEN']));
    expect(OWN_VARIABLES).not.toContain('VLLM_API_KEY');
    expect(OWN_VARIABLES).not.toContain('CUDA_VISIBLE_DEVICES');
  });
});
