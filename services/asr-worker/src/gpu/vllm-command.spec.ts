import { describe, expect, it } from '@jest/globals';
import { parseEnv } from '@voice-fleet/runtime/env';
import { gpuProfile } from './gpu-profile.ts';
import { LaunchEnv } from './launch-env.ts';
import type { Gpu } from './probe.ts';
import { type VllmCommand, vllmCommand } from './vllm-command.ts';

const L40S: Gpu = { name: 'NVIDIA L40S', memoryMib: 46_068, computeCapability: 8.9 };
const A100: Gpu = { name: 'NVIDIA A100-SXM4-40GB', memoryMib: 40_960, computeCapability: 8 };

function commandFor(env: Record<string, string>, gpu?: Gpu, weightBytes?: number): VllmCommand {
  return vllmCommand(parseEnv(LaunchEnv, { VOXTRAL_MODEL_DIR: '/models/voxtral', ...env }), {
    profile: gpuProfile(gpu),
    ...(gpu === undefined ? {} : { gpu }),
    ...(weightBytes === undefined ? {} : { weightBytes }),
  });
}

/** What follows a flag. */
function flag({ args }: VllmCommand, name: string): string | undefined {
  return args.includes(name) ? args[args.indexOf(name) + 1] : undefined;
}

describe('the command that serves the model', () => {
  it('has every flag the model needs', () => {
    const { command, args } = commandFor({}, A100);
    expect([command, ...args].join(' ')).toBe(
      'vllm serve /models/voxtral --served-model-name mistralai/Voxtral-Mini-4B-Realtime-2602 ' +
        '--host 127.0.0.1 --port 8300 --tokenizer-mode mistral --config-format mistral --load-format mistral ' +
        '--dtype auto --kv-cache-dtype auto --gpu-memory-utilization 0.92 --max-model-len 1024 ' +
        '--max-num-seqs 252 --max-num-batched-tokens 2048 --compilation_config {"cudagraph_mode":"PIECEWISE"}',
    );
  });

  it('says nothing where there is nothing to say', () => {
    expect(commandFor({}, A100).notes).toEqual([]);
  });

  it('fits a machine without a card', () => {
    const command = commandFor({});
    expect(flag(command, '--max-num-seqs')).toBe('128');
    expect(flag(command, '--max-num-batched-tokens')).toBe('2048');
  });

  it('fits the card', () => {
    const command = commandFor({}, { name: 'NVIDIA H100 80GB HBM3', memoryMib: 81_559 });
    expect(flag(command, '--max-num-seqs')).toBe('512');
    expect(flag(command, '--max-num-batched-tokens')).toBe('4096');
  });

  it('reckons with the weights on the disk', () => {
    const seqs = (bytes?: number) => flag(commandFor({}, L40S, bytes), '--max-num-seqs');
    expect([seqs(), seqs(8.9e9)]).toEqual(['293', '293']);
    expect(seqs(20e9)).not.toBe('293');
  });

  it('obeys the environment', () => {
    const command = commandFor(
      {
        VLLM_COMMAND: 'python3 -m vllm.entrypoints.cli.main',
        VOXTRAL_SERVED_MODEL_NAME: 'voxtral',
        VLLM_HOST: '0.0.0.0',
        VLLM_PORT: '9000',
        VLLM_DTYPE: 'bfloat16',
        VLLM_GPU_MEMORY_UTILIZATION: '0.5',
        VLLM_MAX_MODEL_LEN: '4096',
        VLLM_MAX_NUM_SEQS: '48',
        VLLM_API_KEY: 'hunter2',
        VLLM_EXTRA_ARGS: '--api-server-count 2',
      },
      A100,
    );
    expect(command.command).toBe('python3');
    expect(command.args.slice(0, 3)).toEqual(['-m', 'vllm.entrypoints.cli.main', 'serve']);
    const flags = [
      '--served-model-name',
      '--host',
      '--port',
      '--dtype',
      '--gpu-memory-utilization',
    ];
    expect(flags.map((name) => flag(command, name))).toEqual([
      'voxtral',
      '0.0.0.0',
      '9000',
      'bfloat16',
      '0.5',
    ]);
    expect(flag(command, '--max-model-len')).toBe('4096');
    expect(flag(command, '--max-num-seqs')).toBe('48');
    expect(command.args.slice(-2)).toEqual(['--api-server-count', '2']);
  });

  it('Y47: never asks for an fp8 KV cache', () => {
    const command = commandFor({ VLLM_KV_CACHE_DTYPE: 'fp8', VLLM_CALCULATE_KV_SCALES: '1' }, L40S);
    expect(flag(command, '--kv-cache-dtype')).toBe('auto');
    expect(command.args.join(' ')).not.toMatch(/fp8|scales/);
    expect(command.notes).toHaveLength(2);
  });

  it('never asks for full CUDA graphs', () => {
    const full = { VLLM_COMPILATION_CONFIG: '{"cudagraph_mode":"FULL_AND_PIECEWISE"}' };
    const command = commandFor(full, A100);
    expect(flag(command, '--compilation_config')).toBe('{"cudagraph_mode":"PIECEWISE"}');
    expect(command.notes).toEqual([expect.stringContaining('aborts')]);
  });

  it.each([{ VLLM_COMPILATION_CONFIG: 'null' }, { VLLM_ENFORCE_EAGER: '1' }])(
    'runs without graphs with %j',
    (env) => {
      const command = commandFor(env, A100);
      expect(command.args).toContain('--enforce-eager');
      expect(command.args).not.toContain('--compilation_config');
    },
  );

  it('holds no secret', () => {
    const env = { VLLM_API_KEY: 'hunter2', HF_TOKEN: 'hunter2', VOXTRAL_API_KEY: 'hunter2' };
    expect(JSON.stringify(commandFor(env, L40S))).not.toContain('hunter2');
  });
});

describe('the environment of vLLM', () => {
  it('lets an utterance wait an hour for audio, and compiles anew on each start', () => {
    expect(commandFor({}).env).toEqual({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      VLLM_DISABLE_COMPILE_CACHE: '1',
      VLLM_ENGINE_ITERATION_TIMEOUT_S: '3600',
    });
    const other = { VLLM_DISABLE_COMPILE_CACHE: '0', VLLM_ENGINE_ITERATION_TIMEOUT_S: '600' };
    expect(commandFor(other).env).toMatchObject(other);
  });

  it('is without what vLLM would take for something else, and without keys that are not for it', () => {
    const { unset, env } = commandFor({ VLLM_API_KEY: 'k', CUDA_VISIBLE_DEVICES: '1' });
    expect(unset).toEqual(
      expect.arrayContaining([
        'VLLM_PORT',
        'VLLM_HOST',
        'VLLM_DTYPE',
        'HF_TOKEN',
        'VOXTRAL_API_KEY',
      ]),
    );
    for (const name of [...Object.keys(env), 'VLLM_API_KEY', 'CUDA_VISIBLE_DEVICES'])
      expect(unset).not.toContain(name);
  });

  it('is without empty variables that mean something to vLLM', () => {
    const { unset } = commandFor({ VLLM_API_KEY: '', CUDA_VISIBLE_DEVICES: '' });
    expect(unset).toEqual(expect.arrayContaining(['VLLM_API_KEY', 'CUDA_VISIBLE_DEVICES']));
  });
});

describe('a vLLM that others can reach', () => {
  it.each(['0.0.0.0', '10.0.0.1', '::'])('is warned of on %s without a key', (host) => {
    expect(commandFor({ VLLM_HOST: host }, A100).notes).toEqual([
      expect.stringContaining('without a key'),
    ]);
    expect(commandFor({ VLLM_HOST: host, VLLM_API_KEY: 'k' }, A100).notes).toEqual([]);
  });

  it.each(['127.0.0.1', '::1', 'localhost'])('is none on %s', (host) => {
    expect(commandFor({ VLLM_HOST: host }, A100).notes).toEqual([]);
  });
});
