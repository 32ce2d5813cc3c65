import { afterEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

/** An engine that is loading until the test lets it go. */
class LoadingEngine extends ScriptedEngine {
  loaded: () => void = () => undefined;
  readonly #loading = new Promise<void>((resolve) => {
    this.loaded = resolve;
  });

  constructor() {
    super();
    this.healthy = false;
  }

  override async start(): Promise<void> {
    await this.#loading;
    this.healthy = true;
  }
}

const PUBLIC_TRIO = ['/', '/health', '/healthz'];

describe('health over HTTP', () => {
  let fleet: Fleet;
  afterEach(() => fleet[Symbol.asyncDispose]());

  const readyStatus = async (gateway = 0): Promise<number> =>
    (await fleet.get('/readyz', gateway)).status;

  async function workerReadiness(index = 0): Promise<{ status: number; body: unknown }> {
    const port = fleet.workers[index]?.internalPort;
    const response = await fetch(`http://127.0.0.1:${port}/readyz`);
    return { status: response.status, body: await response.json() };
  }

  it.each(['/', '/healthz'])('answers %s with {"status":"ok"} without a key (Y1)', async (path) => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    expect(await fleet.get(path)).toEqual({ status: 200, body: { status: 'ok' } });
  });

  it('counts the open sessions of this gateway at /health, also when clients vanish (Y1, P46, P47)', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    await fleet.addGateway();
    const count = async (gateway: number): Promise<unknown> => {
      const { status, body } = await fleet.get('/health', gateway);
      expect([status, body['status'], Object.keys(body)]).toEqual([
        200,
        'ok',
        ['status', 'active_sessions'],
      ]);
      return body['active_sessions'];
    };
    expect(await count(0)).toBe(0);
    const staying = await fleet.client();
    const vanishing = await fleet.client();
    expect([await count(0), await count(1)]).toEqual([2, 0]);
    const elsewhere = await fleet.client({ gateway: 1 });
    expect([await count(0), await count(1)]).toEqual([2, 1]);
    vanishing.terminate();
    await until(async () => (await count(0)) === 1, 'the vanished one is not counted');
    staying.terminate();
    elsewhere.terminate();
    await until(async () => (await count(0)) === 0 && (await count(1)) === 0, 'none is counted');
  });

  it('answers 503 on all health paths while no worker has ever been there (Y2)', async () => {
    fleet = await Fleet.start([]);
    await until(
      async () => (await fleet.get('/readyz')).body['reason'] === 'no_workers',
      'the gateway has asked Redis',
    );
    for (const path of PUBLIC_TRIO) {
      const { status, body } = await fleet.get(path);
      expect([status, body['status'], body['reason']]).toEqual([503, 'loading', 'no_workers']);
    }
    expect((await fleet.get('/readyz')).body).toMatchObject({
      status: 'not_ready',
      reason: 'no_workers',
    });
  });

  it('answers 503 while the engine loads, refuses sessions, and 200 once it is up (Y2)', async () => {
    fleet = await Fleet.start([]);
    const engine = new LoadingEngine();
    const added = fleet.addWorker(engine);
    // A loading worker beats within a second, and is still no worker to place sessions on.
    await until(async () => {
      const { body } = await fleet.get('/readyz');
      return body['reason'] === 'no_workers';
    }, 'the gateway says why');
    expect((await fleet.get('/healthz')).status).toBe(503);
    const early = fleet.dial();
    expect((await early.next('error')).payload.details.reason_code).toBe('fleet_unavailable');
    expect((await early.closed).code).toBe(1013);
    engine.loaded();
    await added;
    await until(async () => (await fleet.get('/healthz')).status === 200, 'the fleet is ready');
    const client = await fleet.client();
    client.say('u', speak(range(1, 3)));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 3)));
  });

  it('says when a model could not be loaded, until a worker is ready (P43)', async () => {
    fleet = await Fleet.start([]);
    const reason = async (): Promise<unknown> => (await fleet.get('/readyz')).body['reason'];
    const broken = new LoadingEngine();
    broken.start = async () => {
      throw new Error('no such model');
    };
    await expect(fleet.addWorker(broken)).rejects.toThrow('no such model');
    await until(async () => (await reason()) === 'model_load_failed', 'the gateway says why');
    expect((await fleet.get('/healthz')).body['reason']).toBe('model_load_failed');
    const engine = new LoadingEngine();
    const added = fleet.addWorker(engine);
    engine.loaded();
    await added;
    await until(async () => (await readyStatus()) === 200, 'the fleet is ready');
    expect(await reason()).toBeUndefined();
  });

  it('turns /readyz to 503 while the only engine is unhealthy, and back (Y2)', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    engine.healthy = false;
    await until(async () => (await readyStatus()) === 503, 'readiness falls');
    expect((await fleet.get('/readyz')).body).toMatchObject({ ready: false, reason: 'no_workers' });
    expect(await workerReadiness()).toMatchObject({
      status: 503,
      body: { ready: false, reason: 'scripted fault' },
    });
    // Restarting a gateway mends no engine: liveness stays.
    expect((await fleet.get('/healthz')).status).toBe(200);
    engine.healthy = true;
    await until(async () => (await readyStatus()) === 200, 'readiness returns');
    expect((await workerReadiness()).status).toBe(200);
  });

  it('turns /readyz to 503 when the last worker is gone, and keeps /healthz at 200 (Y2)', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    await fleet.workers[0]?.close();
    await until(async () => (await readyStatus()) === 503, 'readiness falls');
    expect((await fleet.get('/readyz')).body).toMatchObject({ reason: 'no_workers', workers: 0 });
    expect((await fleet.get('/healthz')).status).toBe(200);
    fleet.workers.pop();
  });

  it('names Redis as the reason when it is away', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    await fleet.redis.kill();
    await until(async () => (await readyStatus()) === 503, 'readiness falls');
    expect((await fleet.get('/readyz')).body).toMatchObject({ reason: 'redis_unavailable' });
    expect((await fleet.get('/healthz')).status).toBe(200);
    await fleet.redis.restart();
    await until(async () => (await readyStatus()) === 200, 'readiness returns');
  });

  it('says full, with the numbers, when every slot is taken', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    await fleet.client();
    expect(await fleet.get('/readyz')).toEqual({
      status: 503,
      body: { status: 'not_ready', ready: false, reason: 'full', slots: 1, leased: 1, workers: 1 },
    });
  });
});
