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

const FILES = ['docker/node.Dockerfile', 'docker/vllm.Dockerfile', 'docker/clients.Dockerfile'];

describe.each(FILES)('%s', (path) => {
  const all = instructions(path);
  const end = last(all);

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

  it('starts a file that is compiled from one that is there', () => {
    const [entry = []] = only(end, 'ENTRYPOINT').map((value) => JSON.parse(value) as string[]);
    const compiled = entry.at(-1) ?? '';
    expect(compiled).toMatch(/dist\/.*\.js$/);
    const services = compiled.startsWith('/app/')
      ? ['']
      : ['services/gateway/', 'services/asr-worker/', 'services/llm-tts/'];
    for (const service of services) {
      const path = `${service}${compiled.replace('/app/', '')}`;
      expect(existsSync(join(REPO, path.replace('dist/', 'src/').replace(/js$/, 'ts')))).toBe(true);
    }
  });

  it('leaves the signal to stop as it is', () => {
    expect(only(end, 'STOPSIGNAL')).toEqual([]);
  });

  it('installs once with the tools of the build, and in another stage without them', () => {
    const installs = all.filter(({ name, value }) => name === 'RUN' && value.includes('npm ci '));
    expect(installs.map(({ value }) => value.includes('--omit=dev'))).toEqual([false, true]);
    expect(new Set(installs.map(({ stage }) => stage)).size).toBe(2);
    expect(installs[1]?.value).toMatch(/--workspace="?(?:services|packages)\//);
    expect(only(end, 'COPY')).toEqual(
      expect.arrayContaining(['--from=dependencies /src /app', '--from=build /app /app']),
    );
  });
});

describe.each(FILES.slice(0, 2))('%s, which serves', (path) => {
  it('checks its health with the script that it holds', () => {
    const end = last(instructions(path));
    expect(only(end, 'HEALTHCHECK')).toEqual([
      expect.stringMatching(/--start-period=\w+ .*CMD \["node", "\/app\/healthcheck.mjs"\]$/),
    ]);
    expect(only(end, 'COPY').join('\n')).toMatch(/^docker\/healthcheck\.mjs .*\/app\//m);
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

  it('holds what the chart starts before a stop', () => {
    expect(only(last(instructions('docker/node.Dockerfile')), 'COPY')).toContain(
      'docker/healthcheck.mjs docker/pause.mjs /app/',
    );
  });

  it('keeps what npm nested below a workspace, and no package.json of the sources', () => {
    for (const path of ['a/package.json', 'a/node_modules/b/package.json', 'c/package.json'])
      put(`install/packages/${path}`);
    for (const path of ['package.json', 'package-lock.json', 'services/gateway/package.json'])
      put(`install/${path}`);
    const run = runs.find((value) => value.includes('npm ci --omit=dev')) ?? '';
    const script = run.slice(run.indexOf('&& rm') + 2).replaceAll('\n', ' ');
    const done = spawnSync('/bin/sh', ['-ec', script], { cwd: join(folder, 'install') });
    expect(done.status).toBe(0);
    const held = readdirSync(join(folder, 'install'), { recursive: true, encoding: 'utf8' });
    expect(held.sort()).toEqual([
      'packages',
      'packages/a',
      'packages/a/node_modules',
      'packages/a/node_modules/b',
      'packages/a/node_modules/b/package.json',
    ]);
  });

  it('holds ONNX Runtime for its own system alone, and needs none', () => {
    expect(build('onnxruntime-node')).toMatchObject({ status: 0, stderr: '' });
    const bin = 'node_modules/onnxruntime-node/bin';
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
    'docker/pause.mjs',
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
    expect(only(all, 'FROM').at(-1)).toMatch(/^\$\{CUDA_IMAGE\}$/);
    expect(args['CUDA_IMAGE']).toMatch(/^nvidia\/cuda:\$\{CUDA_VERSION\}-devel-ubuntu22\.04$/);
    expect(torchWheel({ cudaVersion: '12.8' }).torchBackend).toBe(args['TORCH_BACKEND']);
  });

  it('has uv brought by pip, into a stage that is left behind', () => {
    const [uv = ''] = only(all, 'RUN').filter((value) => value.includes('python3 -m pip'));
    expect(uv).toMatch(/ --target \/uv "uv==\$\{UV_VERSION\}"$/);
    expect(args['UV_VERSION']).toMatch(/^\d+\.\d+\.\d+$/);
    expect(only(last(all), 'COPY')).toContain('--from=tools /uv/bin/uv /usr/local/bin/uv');
  });

  it('keeps the model in a volume that its user may write to', () => {
    expect(only(all, 'VOLUME')).toEqual(['["/models", "/scratch"]']);
    expect(only(all, 'ENV').join(' ')).toContain('VOXTRAL_MODEL_DIR=/models/voxtral');
    expect(only(all, 'RUN').join('\n')).toContain('chown 1000:1000 /models /scratch');
    expect(only(all, 'RUN').join('\n')).not.toMatch(/hf download|snapshot_download/);
  });

  it('writes what it compiles and fetches to one folder, the home of its user', () => {
    const env = only(last(all), 'ENV').join(' ');
    const set = [...env.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => ({
      name,
      value,
    }));
    const folders = set.filter(({ name }) =>
      /^(?:HOME|XDG_|HF_HOME)|CACHE|CONFIG|WORKSPACE/.test(name),
    );
    expect(folders.length).toBeGreaterThan(8);
    for (const { name, value } of folders)
      expect([name, value]).toEqual([name, expect.stringMatching(/^\/scratch(?:\/[\w/]+)?$/)]);
    // The pods of the chart mount one volume there, and say nothing but HOME.
    expect(text('charts/voice-fleet/templates/worker/_pool.tpl')).toContain('"HOME" "/scratch"');
    expect(text('charts/voice-fleet/templates/worker/_pod.tpl')).toContain('mountPath: /scratch');
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
