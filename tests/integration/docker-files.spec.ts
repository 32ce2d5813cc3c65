import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { installation, torchWheel, VLLM_VERSION } from '@voice-fleet/asr-worker/gpu/cuda-wheel';
import { LaunchEnv } from '@voice-fleet/asr-worker/gpu/launch-env';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import { LlmTtsEnv } from '@voice-fleet/llm-tts/config';
import { parseEnv } from '@voice-fleet/runtime/env';
import {
  type Instruction,
  instructions,
  last,
  only,
  REPO,
  sent,
  text,
} from '../support/docker-files.ts';

const FILES = ['docker/node.Dockerfile', 'docker/vllm.Dockerfile'];

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
      : ['services/gateway/', 'services/asr-worker/', 'services/llm-tts/'];
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

describe('the image of a service', () => {
  const runs = only(instructions('docker/node.Dockerfile'), 'RUN');
  let folder = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'voice-fleet-image-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  /** One step of the build, with its own /app. */
  function build(words: string): SpawnSyncReturns<string> {
    const run = runs.find((value) => value.includes(words)) ?? '';
    return spawnSync('/bin/sh', ['-ec', run.replaceAll('/app', `${folder}/app`)], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], SERVICE: 'gateway' },
    });
  }

  function put(path: string): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), path);
  }

  it('holds what was compiled and the page, and no source', () => {
    for (const path of ['dist/main.js', 'public/index.html', 'package.json', 'src/main.ts']) {
      put(`services/gateway/${path}`);
      put(`services/asr-worker/${path}`);
    }
    put('packages/speech/dist/wav.js');
    put('packages/speech/package.json');
    put('packages/testkit/package.json');
    expect(build('cp -r')).toMatchObject({ status: 0, stderr: '' });
    const held = readdirSync(join(folder, 'app'), { recursive: true, encoding: 'utf8' });
    expect(held.filter((path) => path.includes('.')).sort()).toEqual([
      'packages/speech/dist/wav.js',
      'packages/speech/package.json',
      'services/gateway/dist/main.js',
      'services/gateway/package.json',
      'services/gateway/public/index.html',
    ]);
  });

  it('holds ONNX Runtime for its own system alone, and needs none', () => {
    expect(build('onnxruntime-node')).toMatchObject({ status: 0, stderr: '' });
    const bin = 'app/node_modules/onnxruntime-node/bin';
    // As the package lays them out today.
    const installed = readdirSync(join(REPO, 'node_modules/onnxruntime-node/bin'));
    for (const napi of installed) {
      for (const system of ['darwin/arm64', 'linux/arm64', 'linux/x64', 'win32/x64']) {
        put(`${bin}/${napi}/${system}/binding.node`);
      }
    }
    expect(build('onnxruntime-node')).toMatchObject({ status: 0, stderr: '' });
    const left = readdirSync(join(folder, bin), { recursive: true, encoding: 'utf8' });
    expect(left.filter((path) => path.endsWith('.node'))).toEqual(
      installed.map((napi) => `${napi}/linux/${process.arch}/binding.node`),
    );
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
    expect(await check({ VF_SERVICE: 'llm-tts', INTERNAL_PORT: port })).toBe(0);
    expect(asked.splice(0)).toEqual(['/livez', '/livez', '/livez']);
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
    expect(source).toContain(
      `'llm-tts': ['INTERNAL_PORT', '${parseEnv(LlmTtsEnv, {}).internalPort}'`,
    );
    expect(source).toContain(`vllm: ['VLLM_PORT', '${parseEnv(LaunchEnv, {}).port}'`);
  });
});
