import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_MODEL } from '@voice-fleet/testkit/fake-vllm/options';
import { freePort } from '@voice-fleet/testkit/ports';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { ServiceProcess } from '../support/service-process.ts';
import { until } from '../support/until.ts';
import { FleetView } from './fleet-view.ts';
import { WEBHOOK_SECRET } from './webhook-receiver.ts';

export const API_KEY = 'chaos-key';

/** How long a process, or the whole fleet, may take to be ready. */
const READY_MS = 30_000;
const READY_EVENT = { gateway: 'listening', 'asr-worker': 'ready', vllm: 'listening' } as const;

export interface FleetShape {
  readonly gateways: number;
  readonly workers: number;
  /** Of each worker. */
  readonly slots: number;
  readonly leaseTtlS: number;
}

type Program = keyof typeof READY_EVENT;

/** A process with a place in the fleet; another takes the place when it is gone. */
class Seat {
  readonly #program: Program;
  readonly #env: Record<string, string>;
  readonly #compiledRoot: string;
  readonly #earlierLines: Record<string, unknown>[] = [];
  #process: ServiceProcess | undefined;

  constructor(program: Program, env: Record<string, string>, compiledRoot: string) {
    this.#program = program;
    this.#env = env;
    this.#compiledRoot = compiledRoot;
  }

  get process(): ServiceProcess {
    if (this.#process === undefined) throw new Error(`${this.#program} was never started`);
    return this.#process;
  }

  get isUp(): boolean {
    return this.#process?.isAlive === true;
  }

  /** Settles when it is ready. */
  async start(): Promise<void> {
    this.#earlierLines.push(...(this.#process?.lines ?? []));
    this.#process = new ServiceProcess(this.#program, this.#env, this.#compiledRoot);
    await this.#process.logged(READY_EVENT[this.#program]);
  }

  /** Sends a signal that ends it, and waits for the end. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<{ code: number | null; tookMs: number }> {
    const fromMs = performance.now();
    this.process.child.kill(signal);
    return { code: await this.process.exited, tookMs: performance.now() - fromMs };
  }

  /** Everything that its processes wrote, one after the other. */
  get lines(): readonly Record<string, unknown>[] {
    return [...this.#earlierLines, ...(this.#process?.lines ?? [])];
  }

  async dispose(): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
  }
}

/** Gateways, workers with a fake vLLM each, and Redis: real processes that may be killed, stopped and started again. */
export class ChaosFleet implements AsyncDisposable {
  readonly shape: FleetShape;
  readonly redis: TestRedis;
  readonly view: FleetView;
  readonly gateways: readonly Seat[];
  readonly workers: readonly Seat[];
  readonly vllms: readonly Seat[];
  /** One for each gateway; it keeps its port when it is started anew. */
  readonly urls: readonly URL[];
  /** Where the gateways may send webhooks; nobody listens there yet. */
  readonly webhookPort: number;
  readonly #redisFolder: string;

  private constructor(parts: {
    shape: FleetShape;
    redis: TestRedis;
    redisFolder: string;
    ports: readonly number[];
    vllmPorts: readonly number[];
    webhookPort: number;
    env: Record<string, string>;
    compiledRoot: string;
  }) {
    const { shape, redis, ports, vllmPorts, compiledRoot } = parts;
    const env = {
      REDIS_URL: redis.url,
      LEASE_TTL_S: String(shape.leaseTtlS),
      VOXTRAL_API_KEY: API_KEY,
      JOBS_DIR: join(parts.redisFolder, 'jobs'),
      JOBS_WEBHOOK_SECRET: WEBHOOK_SECRET,
      JOBS_WEBHOOK_ALLOW: `!127.0.0.1:${parts.webhookPort}`,
      ...parts.env,
    };
    this.shape = shape;
    this.webhookPort = parts.webhookPort;
    this.redis = redis;
    this.#redisFolder = parts.redisFolder;
    this.view = new FleetView(redis.url);
    this.gateways = ports.map(
      (port) => new Seat('gateway', { ...env, SERVER_PORT: String(port) }, compiledRoot),
    );
    this.vllms = vllmPorts.map(
      (port) => new Seat('vllm', { VLLM_PORT: String(port) }, compiledRoot),
    );
    this.workers = vllmPorts.map(
      (port, index) =>
        new Seat(
          'asr-worker',
          {
            ...env,
            ASR_ENGINE: 'vllm',
            VLLM_BASE_URL: `http://127.0.0.1:${port}`,
            VOXTRAL_SERVED_MODEL_NAME: DEFAULT_MODEL,
            WORKER_NAME: `worker-${index}`,
            WORKER_SLOTS: String(shape.slots),
            BATCH_JOBS_MAX: '4',
            BATCH_LOCK_S: '3',
            // Nobody asks where speech ends, and a crowd of workers starts sooner without the network.
            ASR_VAD: 'energy',
          },
          compiledRoot,
        ),
    );
    this.urls = ports.map((port) => new URL(`ws://127.0.0.1:${port}/api/asr-streaming`));
  }

  static async start(
    shape: FleetShape,
    compiledRoot: string,
    env: Record<string, string> = {},
  ): Promise<ChaosFleet> {
    const redisFolder = await mkdtemp(join(tmpdir(), 'vf-chaos-'));
    // On disk, so that a restart may bring everything back; the folder is emptied for one that does not.
    const redis = await startRedis({ dir: redisFolder, appendonly: 'yes' });
    const ports = await freePorts(shape.gateways);
    const vllmPorts = await freePorts(shape.workers);
    const webhookPort = await freePort();
    const fleet = new ChaosFleet({
      shape,
      redis,
      redisFolder,
      ports,
      vllmPorts,
      webhookPort,
      env,
      compiledRoot,
    });
    try {
      await fleet.restore();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get slots(): number {
    return this.shape.workers * this.shape.slots;
  }

  /** Starts what does not run; settles when every slot is there and none is taken. */
  async restore(): Promise<void> {
    for (const seat of this.#seats()) {
      if (seat.isUp) seat.process.child.kill('SIGCONT');
    }
    for (let index = 0; index < this.vllms.length; index++) this.tellVllm(index, 'resume');
    // Two at a time: more would only keep each other waiting on a small machine.
    const missing = this.#seats().filter((seat) => !seat.isUp);
    const start = async (): Promise<void> => {
      for (let seat = missing.shift(); seat !== undefined; seat = missing.shift())
        await seat.start();
    };
    await Promise.all([start(), start()]);
    await this.untilSlots(this.slots);
    await until(async () => (await this.view.sample()).leased === 0, 'no slot is taken', READY_MS);
  }

  /** Settles when so many slots are there, as gateways count them. */
  async untilSlots(slots: number, timeoutMs = READY_MS): Promise<void> {
    await until(
      async () => (await this.view.sample()).slots === slots,
      `${slots} slots are there`,
      timeoutMs,
    );
  }

  /** Settles when every gateway would take a session. */
  async untilReady(timeoutMs = READY_MS): Promise<void> {
    const isReady = async ({ host }: URL): Promise<boolean> =>
      (await fetch(`http://${host}/readyz`).catch(() => undefined))?.status === 200;
    await until(
      async () => (await Promise.all(this.urls.map(isReady))).every((ready) => ready),
      'every gateway is ready',
      timeoutMs,
    );
  }

  /** Which worker holds which session, by the index of the worker. */
  async sessionsByWorker(): Promise<Map<number, string[]>> {
    const held = await this.view.sessionsByWorker();
    return new Map(
      this.workers.map((_, index) => [
        index,
        [...held].flatMap(([id, sessions]) => (id.startsWith(`worker-${index}-`) ? sessions : [])),
      ]),
    );
  }

  /** How often gateways have moved a session to another worker so far. */
  get moves(): number {
    const lines = this.gateways.flatMap((seat) => seat.lines);
    return lines.filter(({ event }) => event === 'session_moved').length;
  }

  /** Writes what each process logged to a file of its own. */
  async writeLogs(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    const seats = { gateway: this.gateways, worker: this.workers, vllm: this.vllms };
    for (const [name, all] of Object.entries(seats)) {
      for (const [index, { lines }] of all.entries()) {
        const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
        await writeFile(join(folder, `${name}-${index}.jsonl`), text);
      }
    }
  }

  /** `hang`: nobody gets an answer, though it looks well; `resume` ends that. */
  tellVllm(index: number, what: 'hang' | 'resume'): void {
    if (this.vllms[index]?.isUp) this.vllms[index].process.child.stdin?.write(`${what}\n`);
  }

  /** Redis is gone for a while; it comes back with all that it knew, or with nothing. */
  async interruptRedis(awayMs: number, comesBack: 'full' | 'empty'): Promise<void> {
    await this.redis.kill();
    if (comesBack === 'empty')
      await rm(join(this.#redisFolder, 'appendonlydir'), { recursive: true });
    await new Promise((resolve) => setTimeout(resolve, awayMs));
    await this.redis.restart();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.view[Symbol.asyncDispose]();
    await Promise.all(this.#seats().map((seat) => seat.dispose()));
    await this.redis.stop();
    await rm(this.#redisFolder, { recursive: true, force: true });
  }

  /** In the order in which they are started. */
  #seats(): Seat[] {
    return [...this.vllms, ...this.workers, ...this.gateways];
  }
}

async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = await freePort();
    if (!ports.includes(port)) ports.push(port);
  }
  return ports;
}
