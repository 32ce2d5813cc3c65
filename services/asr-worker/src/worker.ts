import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { connectRedis } from '@voice-fleet/fleet/redis';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import type { WorkerRecord } from '@voice-fleet/fleet/worker';
import { WorkerAgent } from '@voice-fleet/fleet/worker-agent';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { openBlobs } from '@voice-fleet/jobs/blobs/open-blobs';
import { JobQueue } from '@voice-fleet/jobs/job-queue';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { systemClock } from '@voice-fleet/runtime/clock';
import type { Running } from '@voice-fleet/runtime/lifecycle';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { startInternalServer } from '@voice-fleet/telemetry/internal-server';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER, type Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { AppModule } from './app.module.ts';
import { BatchWorker } from './batch/batch-worker.ts';
import type { CapacitySettings } from './capacity/capacity-loop.ts';
import { CapacityMonitor } from './capacity/capacity-monitor.ts';
import type { WorkerConfig } from './config.ts';
import type { AsrEngine } from './engines/engine.ts';
import type { EngineRegistry } from './engines/registry.ts';
import { WorkerHealth } from './http/worker-health.ts';
import { DeletionCost } from './kubernetes/deletion-cost.ts';
import { annotatePod } from './kubernetes/patch-pod.ts';
import { LinkServer } from './link/link-server.ts';
import { WorkerMetrics } from './metrics.ts';
import { CatchUp, catchUpPermits } from './transcription/catch-up.ts';
import { planForEngine } from './transcription/segment-plan.ts';
import { EnergyVad } from './vad/energy-vad.ts';
import type { Vad } from './vad/vad.ts';

export interface AsrWorker extends Running {
  readonly id: string;
  readonly port: number;
  readonly internalPort: number;
}

export interface WorkerParts {
  readonly engine: AsrEngine;
  readonly registry: EngineRegistry;
  /** Stopped with the worker. Default: by energy alone. */
  readonly vad?: Vad;
  /** Bounds of what is offered to gateways. */
  readonly capacity: CapacitySettings;
  readonly metrics: WorkerMetrics;
  readonly log: Logger;
  /** Default: nothing is traced. */
  readonly tracer?: Tracer;
}

/** Builds the worker around its engine, registers it, and owns all that it started. Ports are open before the engine is ready. */
export async function startWorker(config: WorkerConfig, parts: WorkerParts): Promise<AsrWorker> {
  const { engine, registry: engines, capacity: bounds, metrics, log } = parts;
  const { tracer = NO_TRACER } = parts;
  metrics.spans.watch(tracer);
  const vad = parts.vad ?? new EnergyVad();
  const clock = systemClock;
  // New at each start: a restarted worker must not inherit the slots of its predecessor.
  const id = `${config.name}-${randomBytes(4).toString('hex')}`;

  const redis = connectRedis(config.redisUrl, {
    onError: (error) => log.error({ event: 'redis_lost', err: error }),
    onRecovered: () => log.info({ event: 'redis_back' }),
  });
  const { fleet, pool, leaseTtlMs } = config;
  metrics.serves(engine.model);
  const store = new LeaseStore(redis, { fleet, ttlMs: leaseTtlMs });
  const registry = new WorkerRegistry(redis, { fleet, leaseTtlMs });

  let links: LinkServer | undefined;
  let batch: BatchWorker | undefined;
  const capacity = new CapacityMonitor({
    clock,
    engine,
    settings: bounds,
    tickMs: config.tickMs,
    fixedSlots: config.slots,
    inUse: () => links?.leases().length ?? 0,
    jobs: { ran: () => batch?.ran() ?? false, rest: () => batch?.rest() },
    onChange: (slots, why, level) => log.info({ event: 'capacity', slots, why, level }),
    onError: (error) => log.error({ event: 'capacity_fault', err: error }),
  });
  const ready = (): boolean => engine.health().state === 'ready' && capacity.ready;
  const health = new WorkerHealth({
    engine,
    vad,
    registry: engines,
    capacity,
    sessions: () => links?.leases().length ?? 0,
    draining: () => links?.draining ?? false,
  });
  const app = await NestFactory.create(AppModule.with(health), {
    logger: false,
    abortOnError: false,
  });
  const http = app.getHttpServer() as Server;
  const settings = {
    ...config.transcription,
    plan: planForEngine(config.transcription.plan, engine.capabilities),
  };
  const catchUp = new CatchUp({
    clock,
    permits: () => catchUpPermits(config.catchUpSessions, capacity.slots),
    stats: metrics.catchUp,
  });
  const server = new LinkServer(http, {
    clock,
    session: { engine, vad, clock, settings, metrics, catchUp, tracer },
    metrics,
    slots: () => capacity.slots,
    engineReady: ready,
    verify: ({ token, epoch, sessionId, tenantId }) =>
      store.verify(token, id, epoch, sessionId, tenantId),
    heartbeatMs: config.heartbeatMs,
    onLink: () => batch?.giveWay(),
    log,
  });
  links = server;
  await app.listen(config.port, config.host);
  const { port } = http.address() as AddressInfo;

  let failed = false;
  const describe = (): WorkerRecord => {
    const { delayMs } = engine;
    metrics.slots.labels(pool).set(capacity.slots);
    metrics.ready.labels(pool).set(ready() && !server.draining ? 1 : 0);
    metrics.draining.labels(pool).set(server.draining ? 1 : 0);
    metrics.showHealth(health.modelStatus());
    const present = server.draining ? 'draining' : ready() ? 'ready' : 'loading';
    const state = failed ? 'failed' : present;
    return {
      workerId: id,
      address: `${config.advertiseHost}:${port}`,
      model: engine.model,
      engine: engine.name,
      pool,
      ordinal: config.ordinal,
      slots: capacity.slots,
      state,
      ...(delayMs !== undefined && { delayMs }),
    };
  };
  const agent = new WorkerAgent({
    registry,
    clock,
    describe,
    leases: () => server.leases(),
    onError: (error) => log.error({ event: 'registration_fault', err: error }),
  });
  // A Redis that has just come, or come back empty, should know this worker and its leases before it is asked for slots.
  redis.on('ready', () => agent.announce());
  const internal = await startInternalServer({
    port: config.internalPort,
    host: config.internalHost,
    registry: metrics.registry,
    readiness: () => health.readiness(),
  });
  log.info({
    event: 'listening',
    port,
    internalPort: internal.port,
    fleet,
    pool,
    slots: capacity.slots,
    engine: engine.name,
  });
  const blobs = config.batch.maxJobs > 0 ? await openBlobs(config.batch.blobs) : undefined;
  const jobQueue = blobs && new JobQueue(redis);
  // A Redis that is away costs the page this figure only.
  if (jobQueue) metrics.batch.queueNow = () => jobQueue.counts().catch(() => undefined);
  metrics.batch.runningNow = () => batch?.jobs ?? 0;
  const takeJobs = (): void => {
    if (blobs === undefined || jobQueue === undefined) return;
    batch = new BatchWorker({
      engine,
      clock,
      settings,
      store: new JobStore(redis),
      queue: jobQueue,
      blobs,
      ledger: new UsageLedger(redis),
      batch: config.batch,
      redis,
      slots: () => capacity.slots,
      links: () => server.leases().length,
      ready: () => ready() && !server.draining,
      tracer,
      onPiece: (samples) => metrics.batch.audioSeconds.labels(pool).inc(samples / SAMPLE_RATE),
      onBegun: (waitedMs) => metrics.batch.waitSeconds.observe(waitedMs / 1000),
      onEnded: (outcome, tookMs) => metrics.batch.countRun(outcome, tookMs),
      onStalled: () => metrics.batch.stalled.inc(),
      log,
    });
  };
  const { deletionCost } = config;
  const cost =
    deletionCost &&
    new DeletionCost({
      clock,
      intervalMs: deletionCost.intervalMs,
      sessions: () => server.leases().length,
      draining: () => server.draining,
      annotate: (annotations, signal) => annotatePod(deletionCost.pod, annotations, signal),
      onOutcome: (outcome) => metrics.deletionCosts.labels(outcome).inc(),
      onError: (error) => log.warn({ event: 'deletion_cost_untold', err: error }),
    });
  const end = async (): Promise<void> => {
    await batch?.close();
    await jobQueue?.close();
    blobs?.close();
    const drained = server.drain(config.drainMs);
    agent.announce();
    void cost?.tell();
    await drained;
    cost?.stop();
    capacity.stop();
    await agent.stop();
    server.close();
    const closed = new Promise((resolve) => http.close(resolve));
    // One that has not sent a request would keep the server from closing. Links are not among these.
    http.closeAllConnections();
    await closed;
    await app.close();
    await engine.stop();
    await vad.stop();
    await internal.close();
    redis.disconnect();
    log.info({ event: 'stopped' });
  };
  let ending: Promise<void> | undefined;
  // Once: what is disconnected twice waits for a second end that never comes.
  const close = (): Promise<void> => {
    ending ??= end();
    return ending;
  };
  try {
    agent.start();
    await engine.start();
  } catch (error) {
    // Gateways should know why there is no worker.
    failed = true;
    await agent.leaveWord();
    await close();
    throw error;
  }
  capacity.start();
  agent.announce();
  cost?.start();
  takeJobs();
  log.info({ event: 'ready', engine: engine.name, model: engine.model });
  return { id, port, internalPort: internal.port, close };
}
