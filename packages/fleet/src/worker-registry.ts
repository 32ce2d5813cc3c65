import type { Redis } from 'ioredis';
import { z } from 'zod';
import { LEASE_TTL_MS } from './lease-store.ts';
import { FleetScripts } from './scripts.ts';
import type { Capacity, ModelCapacity, ServedLease, WorkerDelay, WorkerRecord } from './worker.ts';

export interface WorkerRegistryOptions {
  readonly fleet: string;
  /** A worker that has not beaten for so long gets no leases and is removed. */
  readonly beatTtlMs?: number;
  /** TTL of re-adopted leases: the `ttlMs` of the gateways' LeaseStore. */
  readonly leaseTtlMs?: number;
  /** Pools that newcomers get no slot of, see `closedPools`: what is free there is not free for the fleet. */
  readonly closedPools?: readonly string[];
  /** How long one that has failed is remembered. */
  readonly failedTtlMs?: number;
}

export const BEAT_TTL_MS = 3_000;
/** Gateways should know why there is no worker for longer than it takes to start another. */
export const FAILED_TTL_MS = 30_000;

const BeatReply = z.enum(['ok', 'unknown']);
const ModelsReply = z.array(z.string());
const DelaysReply = z.array(z.union([z.string(), z.int()]));
const Counts = z.record(z.string(), z.int());
/** `models`: free slots of those that ready workers serve. `wanted`: tickets that wait for one and no other. */
const CapacityReply = z.object({
  workers: z.int(),
  readyWorkers: z.int(),
  failedWorkers: z.int(),
  slots: z.int(),
  leased: z.int(),
  free: z.int(),
  waiting: z.int(),
  moving: z.int(),
  waitingForAny: z.int(),
  models: Counts,
  wanted: Counts,
  pools: z.record(
    z.string(),
    z.object({
      workers: z.int(),
      readyWorkers: z.int(),
      slots: z.int(),
      leased: z.int(),
      leaving: z.int(),
      free: z.int(),
      models: z.record(z.string(), z.literal(true)).transform(Object.keys),
    }),
  ),
});

/** The workers of a fleet. Every method may throw `RedisUnavailable`. */
export class WorkerRegistry {
  readonly #beatTtlMs: number;
  readonly #leaseTtlMs: number;
  readonly #failedTtlMs: number;
  readonly #closedPools: readonly string[];
  readonly #scripts: FleetScripts;

  constructor(redis: Redis, options: WorkerRegistryOptions) {
    this.#beatTtlMs = options.beatTtlMs ?? BEAT_TTL_MS;
    this.#leaseTtlMs = options.leaseTtlMs ?? LEASE_TTL_MS;
    this.#failedTtlMs = options.failedTtlMs ?? FAILED_TTL_MS;
    this.#closedPools = options.closedPools ?? [];
    this.#scripts = new FleetScripts(redis, options.fleet);
  }

  /** Keeps a registered worker alive and updates its record. `unknown`: nothing was done, `register` it. */
  async beat(worker: WorkerRecord): Promise<'ok' | 'unknown'> {
    return BeatReply.parse(await this.#scripts.run('heartbeat', ...this.#beatArgs(worker)));
  }

  /**
   * Makes the worker known together with all leases it serves, so that a Redis that came back empty cannot give their
   * slots away a second time. On a worker that is known already it is a plain beat. What is free then goes to those who
   * wait, as with each beat.
   */
  async register(worker: WorkerRecord, leases: readonly ServedLease[]): Promise<void> {
    const served = leases.flatMap((lease) => [
      lease.token,
      lease.epoch,
      lease.sessionId,
      lease.tenantId,
    ]);
    await this.#scripts.run(
      'heartbeat',
      ...this.#beatArgs(worker),
      'register',
      this.#leaseTtlMs,
      ...served,
    );
  }

  /** Takes the worker out at once. Its leases stay valid until they are released or end. */
  async deregister(workerId: string): Promise<void> {
    await this.#scripts.run('deregister', workerId);
  }

  /** A snapshot for metrics and readiness. Costs Redis time in proportion to the workers: not for the request path. */
  async capacity(): Promise<Capacity> {
    const reply = await this.#scripts.run('capacity', ...this.#closedPools);
    const { models, wanted, pools, ...counts } = CapacityReply.parse(JSON.parse(String(reply)));
    const ofModel = ([name, free]: [string, number]): [string, ModelCapacity] => [
      name,
      { free, waiting: wanted[name] ?? 0 },
    ];
    return {
      ...counts,
      waitingFor: new Map(Object.entries(wanted)),
      models: new Map(Object.entries(models).map(ofModel)),
      pools: new Map(Object.entries(pools)),
    };
  }

  /** Names of the models that live workers serve, in no order. Costs as much as `capacity`. */
  async models(): Promise<readonly string[]> {
    return ModelsReply.parse(await this.#scripts.run('models'));
  }

  /** The delays of the workers that beat. Costs as much as `capacity`. */
  async delays(): Promise<readonly WorkerDelay[]> {
    const reply = DelaysReply.parse(await this.#scripts.run('delays'));
    const found: WorkerDelay[] = [];
    for (let at = 0; at < reply.length; at += 3) {
      const delayMs = Number(reply[at + 1]);
      found.push({
        workerId: String(reply[at]),
        delayMs: delayMs < 0 ? undefined : delayMs,
        ready: reply[at + 2] === 1,
      });
    }
    return found;
  }

  #beatArgs(worker: WorkerRecord): (string | number)[] {
    const { workerId, ...record } = worker;
    const ttlMs = worker.state === 'failed' ? this.#failedTtlMs : this.#beatTtlMs;
    return [workerId, ttlMs, JSON.stringify(record)];
  }
}
