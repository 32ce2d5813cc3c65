import { afterEach, describe, expect, it } from '@jest/globals';
import type { AsrEngine } from '@voice-fleet/asr-worker/engines/engine';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { freePort } from '@voice-fleet/testkit/ports';
import { until } from '../support/until.ts';
import { VllmFleet } from '../support/vllm-fleet.ts';
import { workerEngine } from '../support/worker-engine.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const SAID = range(2_001, 2_030);

const owned: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of owned.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function start(...args: Parameters<typeof VllmFleet.start>): Promise<VllmFleet> {
  const vllm = await VllmFleet.start(...args);
  owned.push(vllm);
  return vllm;
}

async function heard(client: YapSocket): Promise<string> {
  return (await client.next('final')).payload.normalized_text;
}

async function readiness(vllm: VllmFleet): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${vllm.fleet.workers[0]?.internalPort}/readyz`);
  return { status: response.status, body: await response.json() };
}

function engineFor(baseUrl: string, env: Record<string, string> = {}): AsrEngine {
  const settings = { ASR_ENGINE: 'vllm', VLLM_BASE_URL: baseUrl, VLLM_STALL_S: '0.3', ...env };
  const { engine } = workerEngine(settings);
  owned.push({ [Symbol.asyncDispose]: () => engine.stop() });
  return engine;
}

async function startFake(...args: Parameters<typeof FakeVllm.start>): Promise<FakeVllm> {
  const fake = await FakeVllm.start(...args);
  owned.push(fake);
  return fake;
}

describe('a worker in front of vLLM', () => {
  it('E20: goes from uninitialized over loading and warming_up to ready, with a reason until then', async () => {
    const port = await freePort();
    const engine = engineFor(`http://127.0.0.1:${port}`);
    expect(engine.health()).toEqual({ state: 'uninitialized', reason: 'not started' });
    const started = engine.start();
    expect(engine.health()).toEqual({ state: 'loading', reason: expect.any(String) });
    const fake = await startFake({ port });
    fake.faults.hang();
    await until(() => engine.health().state === 'warming_up', 'it warms up');
    fake.faults.resume();
    await started;
    expect(engine.health()).toEqual({ state: 'ready' });
    await engine.stop();
    expect(engine.health().state).toBe('unloading');
  });

  it.each([
    ['a vLLM that is too old', { version: '0.18.1' }, {}, /0\.18\.1 .* is too old/],
    ['another model', { models: ['other'] }, {}, /does not serve .* but "other"/],
    ['a key that is refused', { apiKeys: ['k'] }, { VLLM_API_KEY: 'wrong' }, /set VLLM_API_KEY/],
  ])('does not start with %s, and says so', async (_, options, env, message) => {
    const fake = await startFake(options);
    const engine = engineFor(fake.httpUrl, env);
    await expect(engine.start()).rejects.toThrow(message);
    expect(engine.health()).toEqual({ state: 'error', reason: expect.stringMatching(message) });
  });

  it.each(['0.19.0', '0.25.1.dev3+g1', '1.0.0', '0.1.dev1+g239b5ff'])(
    'starts with %s',
    async (version) => {
      const engine = engineFor((await startFake({ version, apiKeys: ['k'] })).httpUrl, {
        VLLM_API_KEY: 'k',
      });
      await engine.start();
      expect(engine.health().state).toBe('ready');
    },
  );

  it('learns the delay that vLLM runs with from its first utterance', async () => {
    const vllm = await start({ delayMs: 2_400 }, { VOXTRAL_TRANSCRIPTION_DELAY_MS: '80' });
    expect(vllm.logged).toContainEqual(
      expect.objectContaining({ event: 'engine_ready', delayMs: 2_400 }),
    );
    const client = await vllm.fleet.client();
    client.say('u', speak(SAID));
    expect(await heard(client)).toBe(transcript(SAID));
    expect(await vllm.fleet.workerMetrics()).not.toMatch(/stream_faults_total\{.*\} [1-9]/);
  });

  it('is not ready while the engine hangs, although /health is well, and ready again after (#38233)', async () => {
    const vllm = await start({}, { VLLM_CANARY_S: '0.2', STT_MAX_RECOVERIES: '1' });
    vllm.fake.faults.hang();
    await until(async () => (await readiness(vllm)).status === 503, 'the canary died');
    expect((await fetch(`${vllm.fake.httpUrl}/health`)).status).toBe(200);
    expect((await readiness(vllm)).body).toMatchObject({
      ready: false,
      state: expect.stringMatching(/error|loading|warming_up/),
      reason: expect.stringMatching(/./),
    });
    vllm.fake.faults.resume();
    await until(async () => (await readiness(vllm)).status === 200, 'it lives');
    await vllm.fleet.ready();
    const client = await vllm.fleet.client();
    client.say('u', speak(SAID));
    expect(await heard(client)).toBe(transcript(SAID));
  });

  it('is loaded again when vLLM comes back as another one first, and then as the right one', async () => {
    const port = await freePort();
    const first = await startFake({ port });
    const engine = engineFor(first.httpUrl, { VLLM_CANARY_S: '0.1' });
    await engine.start();
    await first.close();
    await until(() => engine.health().state !== 'ready', 'it is lost');
    expect(engine.health().reason).toContain('does not answer');
    const wrong = await startFake({ port, models: ['other'] });
    await until(() => /does not serve/.test(engine.health().reason ?? ''), 'it says why');
    await wrong.close();
    await startFake({ port });
    await until(() => engine.health().state === 'ready', 'it is loaded again');
  });

  it('tells the client a clear error when the budget is spent, and goes on with its next utterance', async () => {
    const vllm = await start({}, { STT_MAX_RECOVERIES: '1', VLLM_CANARY_S: '60' });
    const client = await vllm.fleet.client();
    vllm.fake.faults.arm({ kind: 'close', afterDeltas: 5, code: 1011 }, 2);
    client.say('u', speak(SAID));
    const { payload } = await client.next('error');
    expect([payload.code, payload.details.reason_code]).toEqual([
      'processing_error',
      'engine_failed',
    ]);
    expect(await vllm.fleet.workerMetrics()).toContain(
      'voice_worker_recoveries_total{outcome="gave_up"} 1',
    );
    client.say('v', speak(SAID));
    expect(await heard(client)).toBe(transcript(SAID));
  });

  it('loses no word of any session when the engine dies of another one and comes back (#39996)', async () => {
    const vllm = await start({ restartAfterMs: 600 }, { WORKER_SLOTS: '8' });
    const clients = await Promise.all([1, 2, 3].map(() => vllm.fleet.client()));
    for (const client of clients) {
      client.start('u');
      for (const frame of frames(speak(SAID.slice(0, 15)))) client.append('u', frame);
    }
    await until(() => clients.every((client) => client.text('u').includes('w2010')), 'words come');
    vllm.fake.crash();
    for (const client of clients) {
      for (const frame of frames(speak(SAID.slice(15)))) client.append('u', frame);
      client.finalize('u');
    }
    for (const client of clients) expect(await heard(client)).toBe(transcript(SAID));
  });

  it('takes no dead spare for an utterance, nor one that is dead and does not know it', async () => {
    const vllm = await start();
    const client = await vllm.fleet.client();
    vllm.fake.closeConnections(1012);
    client.say('u', speak(SAID));
    expect(await heard(client)).toBe(transcript(SAID));
    vllm.fake.muteConnections();
    client.say('v', speak(SAID));
    expect(await heard(client)).toBe(transcript(SAID));
    expect(await vllm.fleet.workerMetrics()).toMatch(/upstream_closes_total\{code="1012"\} [1-9]/);
  });

  it('does not hammer a vLLM that closes each connection at once', async () => {
    const vllm = await start({}, { VLLM_SPARE_SOCKETS: '2' });
    vllm.fake.faults.arm({ kind: 'close_at_connect', code: 1012 }, 'always');
    const { connections } = vllm.fake.counters;
    vllm.fake.closeConnections(1012);
    await until(() => vllm.fake.counters.connections > connections, 'it dials');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(vllm.fake.counters.connections - connections).toBeLessThan(5);
    vllm.fake.faults.clear();
    await until(() => vllm.fake.openConnections === 2, 'the spares are back');
  });

  it.each([
    ['cut', { kind: 'refuse' }],
    ['answered with 503', { kind: 'refuse', status: 503 }],
    ['accepted and never greeted', { kind: 'mute' }],
    ['closed at once', { kind: 'close_at_connect', code: 1006 }],
    ['accepted late', { kind: 'slow_accept', delayMs: 300 }],
  ] as const)('dials again when a connection is %s', async (_, fault) => {
    const vllm = await start({}, { VLLM_SPARE_SOCKETS: '0', VLLM_DIAL_TIMEOUT_S: '0.4' });
    const client = await vllm.fleet.client();
    vllm.fake.faults.arm(fault, 2);
    client.say('u', speak(SAID));
    expect(await heard(client)).toBe(transcript(SAID));
  });

  it('keeps what it owns no longer than it runs', async () => {
    const vllm = await start();
    const client = await vllm.fleet.client();
    client.start('u');
    client.append('u', speak([1, 2]));
    await until(() => vllm.fake.liveUtterances === 1, 'it is under way');
    await vllm.fleet.workers[0]?.close();
    await until(() => vllm.fake.openConnections === 0, 'all connections are closed');
  });
});
