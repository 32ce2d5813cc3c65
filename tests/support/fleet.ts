import { DEFAULT_CAPACITY } from '@voice-fleet/asr-worker/capacity/capacity-loop';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import type { AsrEngine } from '@voice-fleet/asr-worker/engines/engine';
import { EngineRegistry } from '@voice-fleet/asr-worker/engines/registry';
import { WorkerMetrics } from '@voice-fleet/asr-worker/metrics';
import { type AsrWorker, startWorker, type WorkerParts } from '@voice-fleet/asr-worker/worker';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import type { Dialect } from '@voice-fleet/gateway/dialects/dialect';
import { type Gateway, startGateway } from '@voice-fleet/gateway/gateway';
import { parseEnv } from '@voice-fleet/runtime/env';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { codedVad } from './coded-vad.ts';
import { until } from './until.ts';
import { VoiceSocket } from './voice-socket.ts';
import type { Logged } from './worker-engine.ts';
import { YapSocket } from './yap-socket.ts';

export const KEY = 'test-key';

type Env = Record<string, string>;

/** Tests provoke faults on purpose; their log lines would only hide real ones. */
const QUIET = { write: () => undefined };

const LOOPBACK = {
  SERVER_BIND_HOST: '127.0.0.1',
  INTERNAL_BIND_HOST: '127.0.0.1',
  WORKER_BIND_HOST: '127.0.0.1',
};
const FREE_PORTS = { SERVER_PORT: '0', INTERNAL_PORT: '0', WORKER_PORT: '0' };

/** Real gateways and workers in this process, on real sockets and a real redis-server. Engines are given by the test. */
export class Fleet implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly gateways: Gateway[] = [];
  readonly workers: AsrWorker[] = [];
  readonly sockets: { terminate(): void }[] = [];
  /** What the gateways logged, from LOG_LEVEL on. */
  readonly logged: Logged[] = [];

  private constructor(redis: TestRedis) {
    this.redis = redis;
  }

  static async start(
    engines: readonly AsrEngine[],
    env: Env = {},
    dialects: readonly Dialect[] = [],
  ): Promise<Fleet> {
    const fleet = new Fleet(await startRedis());
    for (const engine of engines) await fleet.addWorker(engine, env);
    await fleet.addGateway(env, dialects);
    if (engines.length > 0) await fleet.ready();
    return fleet;
  }

  /** Settles when a session could be placed. */
  async ready(): Promise<void> {
    await until(async () => (await this.get('/readyz')).status === 200, 'the fleet is ready');
  }

  /** `dialects` are spoken beside its own. */
  async addGateway(env: Env = {}, dialects: readonly Dialect[] = []): Promise<Gateway> {
    const settings = {
      VOXTRAL_API_KEY: KEY,
      REDIS_URL: this.redis.url,
      LOG_LEVEL: 'error',
      // Refusals are the subject of most tests that meet a full fleet.
      ADMISSION_HOLD_S: '0',
      ...LOOPBACK,
      ...FREE_PORTS,
      ...env,
    };
    const config = parseEnv(GatewayEnv, settings);
    const log = createLogger('gateway', config.logLevel, {
      write: (line: string) => void this.logged.push(JSON.parse(line) as Logged),
    });
    const gateway = await startGateway(config, log, dialects);
    this.gateways.push(gateway);
    return gateway;
  }

  async addWorker(
    engine: AsrEngine,
    env: Env = {},
    parts: Partial<WorkerParts> = {},
  ): Promise<AsrWorker> {
    const settings = {
      REDIS_URL: this.redis.url,
      WORKER_DRAIN_S: '1',
      ...LOOPBACK,
      ...FREE_PORTS,
      ...env,
    };
    const log = createLogger('asr-worker', 'error', QUIET);
    const config = parseEnv(WorkerEnv, settings);
    const worker = await startWorker(config, {
      engine,
      vad: codedVad(),
      registry: new EngineRegistry([]),
      capacity: DEFAULT_CAPACITY,
      metrics: new WorkerMetrics({ pool: config.pool }),
      log,
      ...parts,
    });
    this.workers.push(worker);
    return worker;
  }

  /** Opens a client socket; it may be refused. */
  dial(
    options: { query?: string; headers?: Record<string, string>; gateway?: number } = {},
  ): YapSocket {
    const port = this.gateways[options.gateway ?? 0]?.port ?? 0;
    const query = options.query ?? `?api_key=${KEY}`;
    const socket = new YapSocket(
      `ws://127.0.0.1:${port}/api/asr-streaming${query}`,
      options.headers,
    );
    this.sockets.push(socket);
    return socket;
  }

  /** An admitted client. */
  async client(options: { gateway?: number } = {}): Promise<YapSocket> {
    const socket = this.dial(options);
    await socket.next('session.created');
    return socket;
  }

  /** Opens a client socket of the voice pipeline; it may be refused. */
  dialVoice(
    options: {
      path?: string;
      query?: string;
      headers?: Record<string, string>;
      gateway?: number;
    } = {},
  ): VoiceSocket {
    const port = this.gateways[options.gateway ?? 0]?.port ?? 0;
    const { path = '/ws', query = `?api_key=${KEY}` } = options;
    const socket = new VoiceSocket(`ws://127.0.0.1:${port}${path}${query}`, options.headers);
    this.sockets.push(socket);
    return socket;
  }

  /** An admitted client of the voice pipeline. */
  async voice(options: { path?: string; gateway?: number } = {}): Promise<VoiceSocket> {
    const socket = this.dialVoice(options);
    await socket.next('info');
    return socket;
  }

  async get(path: string, gateway = 0): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`http://127.0.0.1:${this.gateways[gateway]?.port}${path}`);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** The gateway's metrics page. */
  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.gateways[0]?.internalPort}/metrics`)).text();
  }

  /** The first worker's metrics page. */
  async workerMetrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.workers[0]?.internalPort}/metrics`)).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    await Promise.all(this.gateways.map((gateway) => gateway.close()));
    await Promise.all(this.workers.map((worker) => worker.close()));
    await this.redis.stop();
  }
}
