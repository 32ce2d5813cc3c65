import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { installation, torchWheel, VLLM_VERSION } from '@voice-fleet/asr-worker/gpu/cuda-wheel';
import { LaunchEnv } from '@voice-fleet/asr-worker/gpu/launch-env';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import { type EnvMeta, parseEnv } from '@voice-fleet/runtime/env';

jest.setTimeout(30_000);

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const FILES = ['docker/node.Dockerfile', 'docker/vllm.Dockerfile'];

function text(path: string): string {
  return readFileSync(join(REPO, path), 'utf8');
}

interface Instruction {
  readonly name: string;
  readonly value: string;
  /** Which FROM it stands below: 0 for none yet. */
  readonly stage: number;
}

/** Instructions of a Dockerfile, with their continued lines joined. */
function instructions(path: string): Instruction[] {
  const joined = text(path)
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll('\\\n', '\n');
  const found: Instruction[] = [];
  let stage = 0;
  for (const line of joined.split('\n')) {
    const match = /^([A-Z]+) (.*)$/.exec(line);
    if (match?.[1] === undefined) {
      const last = found.at(-1);
      if (last && line.trim() !== '')
        found[found.length - 1] = { ...last, value: `${last.value}\n${line}` };
      continue;
    }
    if (match[1] === 'FROM') stage += 1;
    found.push({ name: match[1], value: match[2] ?? '', stage });
  }
  return found;
}

function only(all: readonly Instruction[], name: string): string[] {
  return all.filter((one) => one.name === name).map(({ value }) => value);
}

/** What a stage that others are not built from holds. */
function last(all: readonly Instruction[]): Instruction[] {
  const stage = Math.max(...all.map((one) => one.stage));
  return all.filter((one) => one.stage === stage);
}

/** Whether .dockerignore lets a path through: the last pattern that fits it or a folder of it decides. */
function sent(path: string): boolean {
  let ignored = false;
  for (const line of text('.dockerignore').split('\n')) {
    const pattern = line.trim();
    if (pattern === '' || pattern.startsWith('#')) continue;
    const negated = pattern.startsWith('!');
    const source = (negated ? pattern.slice(1) : pattern)
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('**/', '\u0000')
      .replaceAll('*', '[^/]*')
      .replaceAll('\u0000', '(?:.*/)?');
    if (new RegExp(`^${source}(?:/.*)?$`).test(path)) ignored = !negated;
  }
  return !ignored;
}

describe.each(FILES)('%s', (path) => {
  const all = instructions(path);
  const end = last(all);

  it('copies what is there and what .dockerignore sends', () => {
    const copies = only(all, 'COPY').filter((value) => !value.startsWith('--from='));
    const sources = copies.flatMap((value) => value.split(' ').slice(0, -1));
    expect(sources).toEqual(expect.arrayContaining(['package-lock.json', 'packages', 'services']));
    for (const source of sources) {
      expect([source, existsSync(join(REPO, source)), sent(source)]).toEqual([source, true, true]);
    }
  });

  it('copies from stages that are there', () => {
    const named = only(all, 'FROM').map((value) => / AS (\w+)$/.exec(value)?.[1]);
    const from = only(all, 'COPY').flatMap((value) => /^--from=(\S+)/.exec(value)?.[1] ?? []);
    expect(from.length).toBeGreaterThan(0);
    for (const stage of from) expect(named).toContain(stage);
  });

  it('pins what it is built from', () => {
    for (const value of only(all, 'FROM')) {
      const image = value.split(' ')[0] ?? '';
      expect(image).toMatch(/:(?:\$\{\w+\}-)?[\w.-]+$/);
      expect(image).not.toMatch(/:latest$/);
      // By its short name: which registry that is, the host says.
      expect(image).toMatch(/^(?:node|nvidia\/cuda):/);
    }
  });

  it('has every argument it uses declared in the stage that uses it', () => {
    const firstArgs = all.filter(({ name, stage }) => name === 'ARG' && stage === 0);
    const names = (list: readonly Instruction[]) =>
      only(list, 'ARG').map((arg) => arg.split('=')[0]);
    for (const { value } of all.filter(({ name }) => name === 'FROM')) {
      for (const [, used] of value.matchAll(/\$\{(\w+)/g)) expect(names(firstArgs)).toContain(used);
    }
    for (let stage = 1; stage <= Math.max(...all.map((one) => one.stage)); stage += 1) {
      const own = all.filter((one) => one.stage === stage && one.name !== 'FROM');
      const set = only(own, 'ENV').flatMap((env) =>
        [...env.matchAll(/(\w+)=/g)].map(([, name]) => name),
      );
      const loops = own.flatMap(({ value }) =>
        [...value.matchAll(/for (\w+) in/g)].map(([, name]) => name),
      );
      for (const { value } of own) {
        for (const [, used] of value.matchAll(/\$\{(\w+)/g))
          expect([...names(own), ...set, ...loops]).toContain(used);
      }
    }
  });

  it('runs as a numbered user that is not root, from the last stage on', () => {
    expect(only(end, 'USER')).toEqual(['1000:1000']);
  });

  it('starts Node without a shell, so that signals reach it', () => {
    const [entry, ...more] = only(end, 'ENTRYPOINT').map((value) => JSON.parse(value) as string[]);
    expect(entry?.slice(0, 2)).toEqual(['node', '--enable-source-maps']);
    expect(entry?.[2]).toMatch(/dist\/.*\.js$/);
    expect(more).toEqual([]);
    expect(only(end, 'STOPSIGNAL')).toEqual([]);
  });

  it('starts a file that is compiled from one that is there', () => {
    const [entry = []] = only(end, 'ENTRYPOINT').map((value) => JSON.parse(value) as string[]);
    const compiled = entry[2] ?? '';
    const services = compiled.startsWith('/app/')
      ? ['']
      : ['services/gateway/', 'services/asr-worker/'];
    for (const service of services) {
      const path = `${service}${compiled.replace('/app/', '')}`;
      expect(existsSync(join(REPO, path.replace('dist/', 'src/').replace(/js$/, 'ts')))).toBe(true);
    }
  });

  it('checks its health with the script that it holds', () => {
    expect(only(end, 'HEALTHCHECK')).toEqual([
      expect.stringMatching(/--start-period=\w+ .*CMD \["node", "\/app\/healthcheck.mjs"\]$/),
    ]);
    expect(only(end, 'COPY')).toContain('docker/healthcheck.mjs /app/healthcheck.mjs');
  });

  it('leaves the tools of the build behind', () => {
    const runs = only(all, 'RUN');
    const production = runs.findIndex((run) => run.includes('npm ci --omit=dev'));
    expect(production).toBeGreaterThan(runs.findIndex((run) => run.includes('turbo run build')));
    expect(runs[production]).toMatch(
      /--workspace="?services\/.*cp -a node_modules \/app\/node_modules$/s,
    );
    const kept = only(end, 'COPY').filter((value) => value.startsWith('--from=build'));
    for (const value of kept)
      expect(value).toMatch(/ (?:\/app \/app|\/usr\/local\/bin\/node \S+)$/);
    expect(only(end, 'ENV').join(' ')).toContain('NODE_ENV=production');
  });

  it('holds no secret', () => {
    const declared = [...only(all, 'ARG'), ...only(all, 'ENV')].join('\n');
    expect(declared).not.toMatch(/TOKEN|API_KEY|PASSWORD|SECRET/);
  });

  it('needs no builder but the classic one', () => {
    expect(text(path)).not.toMatch(/--mount=|<<EOF|^# syntax=/m);
  });
});

describe('.dockerignore', () => {
  it('denies everything first', () => {
    const patterns = text('.dockerignore')
      .split('\n')
      .filter((line) => /^[^#\s]/.test(line));
    expect(patterns[0]).toBe('*');
  });

  it('sends only what is named', () => {
    const top = readdirSync(REPO).filter(sent).sort();
    const named = [
      'package-lock.json',
      'package.json',
      'packages',
      'services',
      'tsconfig.base.json',
      'turbo.json',
    ];
    expect(top).toEqual(named);
  });

  it.each([
    '.git/config',
    '.env',
    '.cache/x',
    'models/voxtral/consolidated.safetensors',
    'docker/compose.yaml',
    'node_modules/ws/index.js',
    'services/gateway/node_modules/x.js',
    'services/gateway/dist/main.js',
    'services/gateway/.env.local',
    'packages/fleet/src/redis.spec.ts',
    'services/gateway/public/marks.spec.js',
  ])('does not send %s', (path) => {
    expect(sent(path)).toBe(false);
  });

  it.each([
    'packages/fleet/src/redis.ts',
    'packages/fleet/src/lua/acquire.lua',
    'services/asr-worker/tsconfig.build.json',
    'services/gateway/public/index.html',
    'docker/healthcheck.mjs',
  ])('sends %s', (path) => {
    expect(sent(path)).toBe(true);
  });
});

describe('Y53: the image of vLLM', () => {
  const all = instructions('docker/vllm.Dockerfile');
  const args = Object.fromEntries(only(all, 'ARG').map((value) => value.split('=', 2)));

  it('can be built for another CUDA, PyTorch and vLLM', () => {
    expect(args).toMatchObject({
      CUDA_VERSION: '12.8.0',
      TORCH_BACKEND: 'cu128',
      PYTORCH_CUDA_INDEX_URL: '',
      VLLM_WHEEL_INDEX_URL: '',
      VLLM_WHEEL_URL: '',
      VLLM_VERSION,
    });
    expect(only(all, 'FROM').at(-1)).toMatch(
      /^nvidia\/cuda:\$\{CUDA_VERSION\}-devel-ubuntu22\.04$/,
    );
    expect(torchWheel({ cudaVersion: '12.8' }).torchBackend).toBe(args['TORCH_BACKEND']);
  });

  it('has uv brought by pip, into a stage that is left behind', () => {
    const [uv = ''] = only(all, 'RUN').filter((value) => value.includes('python3 -m pip'));
    expect(uv).toMatch(/ --target \/uv "uv==\$\{UV_VERSION\}"$/);
    expect(args['UV_VERSION']).toMatch(/^\d+\.\d+\.\d+$/);
    expect(only(last(all), 'COPY')).toContain('--from=uv /uv/bin/uv /usr/local/bin/uv');
  });

  it('keeps the model in a volume that its user may write to', () => {
    expect(only(all, 'VOLUME')).toEqual(['/models']);
    expect(only(all, 'ENV').join(' ')).toContain('VOXTRAL_MODEL_DIR=/models/voxtral');
    expect(only(all, 'RUN').join('\n')).toContain('chown 1000:1000 /models');
    expect(only(all, 'RUN').join('\n')).not.toMatch(/hf download|snapshot_download/);
  });

  it('runs the launcher, and other commands of it on demand', () => {
    expect(last(all).at(-1)).toMatchObject({ name: 'CMD', value: '["run"]' });
  });

  it.each([
    [{}],
    [{ torchBackend: 'cu126' }],
    [{ torchBackend: 'cu130' }],
    [{ torchIndex: 'https://mirror.example/torch' }],
    [{ torchBackend: 'cu130', torchIndex: 'https://mirror.example/torch' }],
    [{ indexUrl: 'https://mirror.example/vllm' }],
    [{ torchBackend: 'cu130', indexUrl: 'https://mirror.example/vllm' }],
    [{ torchIndex: 'https://mirror.example/torch', indexUrl: 'https://mirror.example/vllm' }],
    [{ wheelUrl: 'https://mirror.example/vllm.whl' }],
    [{ wheelUrl: 'https://mirror.example/vllm.whl', indexUrl: 'https://mirror.example/vllm' }],
  ])('installs vLLM as the launcher says it is installed: %j', (asked: Record<string, string>) => {
    const { torchBackend = 'cu128', torchIndex, ...vllm } = asked;
    const run = only(all, 'RUN').find((value) => value.includes('uv pip install')) ?? '';
    const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-uv-'));
    try {
      const script = '#!/bin/sh\nfor word in uv "$@"; do echo "$word"; done\n';
      writeFileSync(join(folder, 'uv'), script, { mode: 0o755 });
      const { stdout, stderr, status } = spawnSync('/bin/sh', ['-ec', run], {
        encoding: 'utf8',
        env: {
          PATH: folder,
          TORCH_BACKEND: torchBackend,
          PYTORCH_CUDA_INDEX_URL: torchIndex ?? '',
          VLLM_WHEEL_INDEX_URL: vllm['indexUrl'] ?? '',
          VLLM_WHEEL_URL: vllm['wheelUrl'] ?? '',
          VLLM_VERSION: args['VLLM_VERSION'],
        },
      });
      const wheel = torchWheel({ torchBackend, ...(torchIndex && { indexUrl: torchIndex }) });
      const { command, notes } = installation(wheel, vllm);
      if (notes.length > 0) {
        // What would be installed could not run: the build says so instead.
        expect([status, stdout]).toEqual([1, '']);
        expect(stderr).toMatch(/CUDA 13 .*VLLM_WHEEL_INDEX_URL or VLLM_WHEEL_URL.*\n$/);
      } else {
        expect([status, stderr]).toEqual([0, '']);
        expect(stdout.trim().split('\n')).toEqual(command);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('healthcheck.mjs', () => {
  let server: Server;
  let port = '';
  const asked: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(request.url === '/health' ? 503 : 200).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = String((server.address() as AddressInfo).port);
  });
  afterAll(() => {
    server.close();
  });

  function check(env: Record<string, string>): Promise<number | null> {
    const child = spawn(process.execPath, [join(REPO, 'docker/healthcheck.mjs')], { env });
    return new Promise((resolve) => child.on('exit', resolve));
  }

  it('asks the service that the image is of', async () => {
    expect(await check({ VF_SERVICE: 'gateway', INTERNAL_PORT: port })).toBe(0);
    expect(await check({ VF_SERVICE: 'asr-worker', INTERNAL_PORT: port })).toBe(0);
    expect(asked.splice(0)).toEqual(['/livez', '/livez']);
  });

  it('fails on an answer that is none', async () => {
    expect(await check({ VF_SERVICE: 'vllm', VLLM_PORT: port })).toBe(1);
    expect(asked.splice(0)).toEqual(['/health']);
  });

  it('fails where nobody answers', async () => {
    expect(await check({ VF_SERVICE: 'vllm', VLLM_PORT: '1' })).toBe(1);
  });

  it('knows the ports that the services listen on', () => {
    const source = text('docker/healthcheck.mjs');
    const { internalPort } = parseEnv(GatewayEnv, {});
    expect(source).toContain(`gateway: ['INTERNAL_PORT', '${internalPort}'`);
    expect(source).toContain(
      `'asr-worker': ['INTERNAL_PORT', '${parseEnv(WorkerEnv, {}).internalPort}'`,
    );
    expect(source).toContain(`vllm: ['VLLM_PORT', '${parseEnv(LaunchEnv, {}).port}'`);
  });
});

interface ComposeService {
  readonly build?: { context: string; dockerfile: string; args: Record<string, string> };
  readonly profiles?: string[];
  readonly depends_on?: Record<string, unknown>;
  readonly environment?: Record<string, string>;
  readonly volumes?: string[];
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
      vllm: LaunchEnv,
    } as unknown as Record<string, { def: { in: { shape: Record<string, { meta(): EnvMeta }> } } }>;
    for (const [name, schema] of Object.entries(known)) {
      const read = Object.keys(schema.def.in.shape);
      for (const variable of Object.keys(services[name]?.environment ?? {}))
        expect([name, read.includes(variable), variable]).toEqual([name, true, variable]);
    }
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
    expect(Object.keys(volumes)).toEqual(['models']);
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
