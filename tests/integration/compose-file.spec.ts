import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { LaunchEnv } from '@voice-fleet/asr-worker/gpu/launch-env';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import { LlmTtsEnv } from '@voice-fleet/llm-tts/config';
import { type EnvMeta, parseEnv } from '@voice-fleet/runtime/env';
import { instructions, only, text } from '../support/docker-files.ts';

interface ComposeService {
  readonly build?: { context: string; dockerfile: string; args: Record<string, string> };
  readonly profiles?: string[];
  readonly depends_on?: Record<string, unknown>;
  readonly environment?: Record<string, string>;
  readonly volumes?: string[];
  readonly command?: string[];
  readonly ports?: string[];
  readonly healthcheck?: unknown;
  readonly deploy?: unknown;
}

describe('compose.yaml', () => {
  const yaml = createRequire(import.meta.url)('js-yaml') as { load(source: string): unknown };
  const { services, volumes } = yaml.load(text('docker/compose.yaml')) as {
    services: Record<string, ComposeService>;
    volumes: Record<string, unknown>;
  };

  it('holds the fleet', () => {
    expect(Object.keys(services).sort()).toEqual([
      'asr-worker',
      'demo-worker',
      'gateway',
      'llm-tts',
      'redis',
      'vllm',
    ]);
  });

  it('builds with the files that are there and the arguments that they take', () => {
    for (const { build } of Object.values(services)) {
      if (build === undefined) continue;
      expect(build.context).toBe('..');
      const declared = only(instructions(build.dockerfile), 'ARG').map(
        (value) => value.split('=')[0],
      );
      for (const arg of Object.keys(build.args)) expect(declared).toContain(arg);
    }
    expect(services['vllm']?.build?.args).toMatchObject({
      CUDA_VERSION: expect.stringMatching(/^\$\{CUDA_VERSION:-12\.8\.0\}$/),
      TORCH_BACKEND: expect.stringMatching(/^\$\{TORCH_BACKEND:-cu128\}$/),
      VLLM_WHEEL_INDEX_URL: expect.stringMatching(/^\$\{VLLM_WHEEL_INDEX_URL:-\}$/),
    });
  });

  it('sets variables that the services read', () => {
    const known = {
      gateway: GatewayEnv,
      'asr-worker': WorkerEnv,
      'demo-worker': WorkerEnv,
      'llm-tts': LlmTtsEnv,
      vllm: LaunchEnv,
    } as unknown as Record<string, { def: { in: { shape: Record<string, { meta(): EnvMeta }> } } }>;
    for (const [name, schema] of Object.entries(known)) {
      const read = Object.keys(schema.def.in.shape);
      for (const variable of Object.keys(services[name]?.environment ?? {}))
        expect([name, read.includes(variable), variable]).toEqual([name, true, variable]);
    }
  });

  it('sends the turns of the gateway where llm-tts takes them', () => {
    const { port } = parseEnv(LlmTtsEnv, {});
    expect(services['gateway']?.environment?.['LLM_TTS_URL']).toBe(`http://llm-tts:${port}`);
  });

  it('waits for what is there, and in the same profile', () => {
    for (const { depends_on: needed = {}, profiles } of Object.values(services)) {
      for (const name of Object.keys(needed)) {
        expect(Object.keys(services)).toContain(name);
        const other = services[name]?.profiles;
        if (other !== undefined) expect(other).toEqual(profiles);
      }
    }
  });

  it('gives vLLM a card and the volume of its image', () => {
    expect(services['vllm']?.deploy).toEqual({
      resources: {
        reservations: { devices: [{ driver: 'nvidia', count: 1, capabilities: ['gpu'] }] },
      },
    });
    expect(services['vllm']?.volumes).toEqual(['models:/models']);
  });

  it('keeps what Redis knows and the recordings of jobs, where gateway and workers have them', () => {
    expect(Object.keys(volumes)).toEqual(['redis', 'jobs', 'models']);
    expect(services['redis']?.volumes).toEqual(['redis:/data']);
    expect(services['redis']?.command).toEqual(expect.arrayContaining(['--appendonly', 'yes']));
    for (const name of ['gateway', 'asr-worker', 'demo-worker']) {
      const folder = services[name]?.environment?.['JOBS_DIR'] ?? '';
      expect([name, services[name]?.volumes]).toEqual([name, [`jobs:${folder}`]]);
      expect(text('docker/node.Dockerfile')).toContain(`mkdir -p ${folder} && chown`);
    }
  });

  it('publishes the gateway only, and starts it with no key but one that is given', () => {
    const published = Object.entries(services).filter(([, { ports }]) => ports !== undefined);
    expect(published.map(([name]) => name)).toEqual(['gateway']);
    expect(services['gateway']?.environment?.['VOXTRAL_API_KEY']).toMatch(
      /^\$\{VOXTRAL_API_KEY:\?/,
    );
  });

  it('holds no secret', () => {
    for (const { environment = {} } of Object.values(services)) {
      for (const [name, value] of Object.entries(environment))
        if (/KEY|TOKEN/.test(name)) expect(value).toMatch(/^\$\{\w+(?::-|:\?[\w\s]+)\}?$/);
    }
  });
});
