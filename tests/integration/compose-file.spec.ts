import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { LaunchEnv } from '@voice-fleet/asr-worker/gpu/launch-env';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import { LlmTtsEnv } from '@voice-fleet/llm-tts/config';
import { type EnvMeta, parseEnv } from '@voice-fleet/runtime/env';
import { instructions, only, REPO, text } from '../support/docker-files.ts';

interface ComposeService {
  readonly build?: { context: string; dockerfile: string; args?: Record<string, string> };
  readonly profiles?: string[];
  readonly depends_on?: Record<string, unknown>;
  readonly environment?: Record<string, string>;
  readonly volumes?: string[];
  readonly command?: string[];
  readonly ports?: string[];
  readonly healthcheck?: unknown;
  readonly deploy?: unknown;
  readonly image?: string;
  readonly read_only?: boolean;
  readonly tmpfs?: string[];
  readonly cap_drop?: string[];
  readonly security_opt?: string[];
}

/** The program of compose v2: VF_COMPOSE, or the plugin of Docker. */
function compose(...args: string[]) {
  const own = process.env['VF_COMPOSE'];
  const [program, ...first] = own ? [own] : ['docker', 'compose'];
  const env = { ...process.env, VOXTRAL_API_KEY: 'any' };
  return spawnSync(program, [...first, ...args], { cwd: REPO, encoding: 'utf8', env });
}

const reads = compose('version').status === 0;
if (!reads) process.stderr.write('skipped: compose.yaml read by compose, which is not there\n');

describe('compose.yaml', () => {
  const yaml = createRequire(import.meta.url)('js-yaml') as { load(source: string): unknown };
  const { services, volumes } = yaml.load(text('docker/compose.yaml')) as {
    services: Record<string, ComposeService>;
    volumes: Record<string, unknown>;
  };

  (reads ? it : it.skip)('is taken by compose, whatever the profile', () => {
    const profiles = ['demo', 'gpu', 'clients', 'monitoring'].flatMap((name) => [
      '--profile',
      name,
    ]);
    const done = compose('-f', 'docker/compose.yaml', ...profiles, 'config', '--quiet');
    expect([done.status, done.stderr]).toEqual([0, '']);
  });

  it('holds the fleet', () => {
    expect(Object.keys(services).sort()).toEqual([
      'asr-worker',
      'clients',
      'demo-worker',
      'gateway',
      'grafana',
      'llm-tts',
      'prometheus',
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
      for (const arg of Object.keys(build.args ?? {})) expect(declared).toContain(arg);
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
    expect(services['vllm']?.volumes).toEqual(['models:/models', 'scratch:/scratch']);
  });

  it('keeps what Redis knows and the recordings of jobs, where gateway and workers have them', () => {
    expect(Object.keys(volumes)).toEqual([
      'redis',
      'jobs',
      'models',
      'scratch',
      'metrics',
      'grafana',
    ]);
    expect(services['redis']?.volumes).toEqual(['redis:/data']);
    expect(services['redis']?.command).toEqual(expect.arrayContaining(['--appendonly', 'yes']));
    for (const name of ['gateway', 'asr-worker', 'demo-worker']) {
      const folder = services[name]?.environment?.['JOBS_DIR'] ?? '';
      expect([name, services[name]?.volumes]).toEqual([name, [`jobs:${folder}`]]);
      expect(text('docker/node.Dockerfile')).toContain(`mkdir -p ${folder} && chown`);
    }
  });

  it('publishes the gateway, what watches it to this machine alone, and starts with no key but one that is given', () => {
    const published = Object.entries(services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => [name, port.startsWith('127.0.0.1:')]),
    );
    expect(published).toEqual([
      ['gateway', false],
      ['prometheus', true],
      ['grafana', true],
    ]);
    for (const name of ['gateway', 'clients'])
      expect(services[name]?.environment?.['VOXTRAL_API_KEY']).toMatch(/^\$\{VOXTRAL_API_KEY:\?/);
  });

  it('gives nobody a root to write to, nor rights', () => {
    for (const [name, service] of Object.entries(services)) {
      const { read_only: readOnly, cap_drop: dropped, security_opt: options } = service;
      expect([name, readOnly, dropped, options]).toEqual([
        name,
        true,
        ['ALL'],
        ['no-new-privileges:true'],
      ]);
    }
  });

  it('pins what it does not build', () => {
    const pulled = Object.values(services).filter(({ build }) => build === undefined);
    expect(pulled).toHaveLength(3);
    for (const { image = '' } of pulled) expect(image).toMatch(/^[\w/-]+:v?\d+\.\d+[\w.-]*$/);
  });

  it('mounts files that are there', () => {
    const mounted = Object.values(services)
      .flatMap(({ volumes: own = [] }) => own.map((volume) => volume.split(':')[0] ?? ''))
      .filter((source) => source.startsWith('.'));
    expect(mounted).toHaveLength(4);
    for (const source of mounted) expect(existsSync(join(REPO, 'docker', source))).toBe(true);
  });

  it('holds no secret', () => {
    for (const { environment = {} } of Object.values(services)) {
      for (const [name, value] of Object.entries(environment))
        if (/KEY|TOKEN/.test(name)) expect(value).toMatch(/^\$\{\w+(?::-|:\?[\w\s]+)\}?$/);
    }
  });

  it('watches every service on the port where its numbers are', () => {
    interface Scrape {
      static_configs?: { targets: string[] }[];
      dns_sd_configs: { names: string[]; port: number }[];
    }
    const { scrape_configs: jobs, rule_files: rules } = yaml.load(
      text('docker/prometheus.yaml'),
    ) as {
      scrape_configs: Scrape[];
      rule_files: string[];
    };
    const targets = jobs.flatMap((job) => [
      ...(job.static_configs ?? []).flatMap((group) => group.targets),
      ...job.dns_sd_configs.flatMap(({ names, port }) => names.map((name) => `${name}:${port}`)),
    ]);
    const worker = parseEnv(WorkerEnv, {}).internalPort;
    expect(targets).toEqual([
      `gateway:${parseEnv(GatewayEnv, {}).internalPort}`,
      `llm-tts:${parseEnv(LlmTtsEnv, {}).internalPort}`,
      `asr-worker:${worker}`,
      `demo-worker:${worker}`,
      `vllm:${parseEnv(LaunchEnv, {}).port}`,
    ]);
    expect(services['prometheus']?.volumes).toContain(
      `../charts/voice-fleet/rules:${dirname(rules[0] ?? '')}:ro`,
    );
  });

  it('shows the dashboards of the chart, from a Prometheus that is there', () => {
    const sources = yaml.load(text('docker/grafana/datasources/prometheus.yaml')) as {
      datasources: { type: string; url: string }[];
    };
    expect(sources.datasources).toMatchObject([
      { type: 'prometheus', url: 'http://prometheus:9090' },
    ]);
    const provided = yaml.load(text('docker/grafana/dashboards/voice-fleet.yaml')) as {
      providers: { options: { path: string } }[];
    };
    const path = provided.providers[0]?.options.path ?? '';
    expect(services['grafana']?.volumes).toContain(`../charts/voice-fleet/dashboards:${path}:ro`);
    const home =
      services['grafana']?.environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] ?? '';
    expect(dirname(home)).toBe(path);
    expect(existsSync(join(REPO, 'charts/voice-fleet/dashboards', basename(home)))).toBe(true);
  });
});
