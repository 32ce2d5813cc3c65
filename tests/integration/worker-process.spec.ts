import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { freePort } from '@voice-fleet/testkit/ports';
import { startRedis } from '@voice-fleet/testkit/redis';
import { endCommands, startCommand } from '../e2e/command.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

/** A stop without sessions takes no longer, whatever the worker waits for. */
const STOP_MS = 10_000;
const NO_REDIS = 'redis://127.0.0.1:1';

let worker: ServiceProcess;
let folder: string;
const owned: AsyncDisposable[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vf-worker-'));
});
afterEach(async () => {
  for (const one of owned.splice(0).reverse()) await one[Symbol.asyncDispose]();
  await endCommands();
  rmSync(folder, { recursive: true });
});

/** A worker that looks for vLLM at this port. */
function launch(vllmPort: number, env: Record<string, string> = {}): void {
  worker = new ServiceProcess('asr-worker', {
    REDIS_URL: NO_REDIS,
    ASR_ENGINE: 'vllm',
    VLLM_BASE_URL: `http://127.0.0.1:${vllmPort}`,
    VLLM_CANARY_S: '0.1',
    WORKER_TICK_S: '0.1',
    ...env,
  });
  owned.push(worker);
}

async function fakeVllm(port = 0): Promise<FakeVllm> {
  const fake = await FakeVllm.start({ port });
  owned.push(fake);
  return fake;
}

/** What the operators' port answers, once it listens. */
async function ask(
  path: string,
): Promise<{ status: number; type: string; body: Record<string, unknown> }> {
  const { internalPort } = await worker.logged('listening');
  const response = await fetch(`http://127.0.0.1:${String(internalPort)}${path}`);
  const type = response.headers.get('content-type') ?? '';
  const body = type.startsWith('application/json') ? await response.json() : {};
  return { status: response.status, type, body: body as Record<string, unknown> };
}

async function metric(name: string): Promise<number> {
  const { internalPort } = await worker.logged('listening');
  const response = await fetch(`http://127.0.0.1:${String(internalPort)}/metrics`);
  const line = (await response.text()).split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

/** Tells it to stop; it has to exit with 0, soon. */
async function expectStop(): Promise<void> {
  const took = stopwatch();
  worker.child.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  expect(took()).toBeLessThan(STOP_MS);
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a worker process', () => {
  it('E20: without vLLM and Redis lives, is not ready and says why; SIGTERM ends it at once', async () => {
    launch(await freePort());
    expect(await ask('/livez')).toMatchObject({ status: 200 });
    await worker.logged('engine_not_ready');
    const { port } = await worker.logged('listening');
    const { status, body } = await ask('/readyz');
    expect({ status, body }).toEqual({
      status: 503,
      body: {
        ready: false,
        state: 'loading',
        reason: expect.stringMatching(/./),
        engine: 'vllm',
        vad: 'silero',
        slots: expect.any(Number),
      },
    });
    const linkPort = await fetch(`http://127.0.0.1:${String(port)}/readyz`);
    expect([linkPort.status, await linkPort.json()]).toEqual([503, body]);
    expect(await metric('voice_worker_ready{pool="default"}')).toBe(0);
    await expectStop();
  });

  it('SIGTERM ends it at once also while vLLM takes connections and says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    owned.push({ [Symbol.asyncDispose]: async () => void silent.close() });
    const asked = once(silent, 'connection');
    const { port } = silent.address() as { port: number };
    launch(port);
    const [socket] = await asked;
    expect((await ask('/readyz')).status).toBe(503);
    await expectStop();
    socket.destroy();
  });

  it('SIGTERM ends it at once also while the first utterance is under way', async () => {
    const fake = await fakeVllm();
    fake.faults.hang();
    launch(fake.port);
    await until(async () => (await ask('/readyz')).body['state'] === 'warming_up', 'it warms up');
    await expectStop();
    await until(() => fake.openConnections === 0, 'nothing is left at vLLM');
  });

  it('E19, E20: is ready after vLLM is, not while that is gone, and again when it is back', async () => {
    const port = await freePort();
    launch(port);
    await worker.logged('engine_not_ready');
    expect(worker.lines.some(({ event }) => event === 'ready')).toBe(false);
    const first = await fakeVllm(port);
    await worker.logged('ready');
    expect((await ask('/readyz')).status).toBe(200);
    await first.close();
    await until(async () => (await ask('/readyz')).status === 503, 'it is missed');
    expect((await ask('/livez')).status).toBe(200);
    await until(async () => (await metric('voice_worker_degrade_level')) === 4, 'a beat tells it');
    expect(await metric('voice_worker_ready{pool="default"}')).toBe(0);
    expect(await metric('voice_worker_engine_status{status="error"}')).toBe(1);
    await fakeVllm(port);
    await until(async () => (await ask('/readyz')).status === 200, 'it is back');
    await until(async () => (await metric('voice_worker_degrade_level')) === 0, 'a beat tells it');
    expect(await metric('voice_worker_engine_restarts_total')).toBe(1);
    await expectStop();
    expect(worker.lines.at(-1)).toMatchObject({ event: 'stopped' });
  });

  it('SIGTERM ends it while vLLM is lost and Redis hangs', async () => {
    const redis = await startRedis();
    owned.push({ [Symbol.asyncDispose]: () => redis.stop() });
    const fake = await fakeVllm();
    launch(fake.port, { REDIS_URL: redis.url });
    await worker.logged('ready');
    await fake.close();
    await worker.logged('engine_down');
    redis.freeze();
    await expectStop();
    redis.thaw();
  });

  it('takes its speech process with it when it is told to stop while that loads', async () => {
    const binary = join(folder, 'voxtral');
    // It does not care for the end of its input, as one that still reads its model.
    writeFileSync(binary, '#!/bin/sh\nexec sleep 60\n');
    chmodSync(binary, 0o755);
    writeFileSync(join(folder, 'consolidated.safetensors'), '');
    launch(0, {
      ASR_ENGINE: 'process',
      VOXTRAL_PROCESS_BIN: binary,
      VOXTRAL_PROCESS_MODEL_DIR: folder,
    });
    const started = await worker.logged('child_started');
    expect(started['level']).toBe('info');
    const pid = Number(started['pid']);
    expect(alive(pid)).toBe(true);
    await expectStop();
    await until(() => !alive(pid), 'the speech process is gone');
  });

  it('with an engine that never starts says so in one line and exits with 1', async () => {
    launch(0, { ASR_ENGINE: 'process', VOXTRAL_PROCESS_BIN: join(folder, 'nothing') });
    expect(await worker.exited).toBe(1);
    const faults = worker.lines.filter(({ event }) => event === 'start_failed');
    expect(faults).toEqual([
      expect.objectContaining({ message: expect.stringContaining(`${folder}/nothing is no file`) }),
    ]);
  });
});

describe('npm run transcribe', () => {
  const CLI = [
    ...['--conditions=source', '--import', 'tsx'],
    'services/asr-worker/src/cli/transcribe.ts',
  ];

  it('says what it waits for while vLLM is not there', async () => {
    const file = join(folder, 'audio.raw');
    writeFileSync(file, Buffer.alloc(32_000));
    const url = `http://127.0.0.1:${await freePort()}`;
    const env = { ASR_ENGINE: 'vllm', VLLM_BASE_URL: url };
    const command = startCommand([...CLI, file], env);
    await until(() => command.stderr.includes('\n'), 'it says something');
    expect(command.stderr).toMatch(/^transcribe: waiting for vllm: ./);
    command.child.kill('SIGTERM');
    await command.closed;
  });

  it('refuses a file that holds half a sample, naming it', async () => {
    const file = join(folder, 'odd.raw');
    writeFileSync(file, Buffer.alloc(32_001));
    const command = startCommand([...CLI, file, '--engine', 'vllm']);
    expect(await command.closed).toBe(2);
    expect(command.stderr).toBe(
      `transcribe: ${file}: 32001 bytes are no WAV and no raw samples of 2 bytes each\n`,
    );
  });

  it('ends without a word when nobody reads on', async () => {
    const fake = await fakeVllm();
    const file = join(folder, 'audio.raw');
    writeFileSync(file, Buffer.alloc(32_000, 1));
    const env = { VLLM_BASE_URL: `http://127.0.0.1:${fake.port}` };
    const command = startCommand([...CLI, file, '--engine', 'vllm'], env);
    command.child.stdout?.destroy();
    expect(await command.closed).toBe(0);
    expect(command.stderr).toBe('');
  });
});
