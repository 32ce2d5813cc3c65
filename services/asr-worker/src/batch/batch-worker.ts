import { randomUUID } from 'node:crypto';
import { RedisUnavailable, redisFault } from '@voice-fleet/fleet/redis';
import type { JobQueue, QueuedJob } from '@voice-fleet/jobs/job-queue';
import { JOB_IS_OVER } from '@voice-fleet/protocol/jobs';
import { backoffMs } from '@voice-fleet/runtime/backoff';
import type { Timer } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import type { AsrEngine } from '../engines/engine.ts';
import { tracedEngine } from '../engines/traced-engine.ts';
import { type BatchRunDeps, runJob } from './batch-run.ts';
import { JobLines } from './job-lines.ts';
import { JobTrace } from './job-trace.ts';
import type { RunEnd, RunOutcome } from './run-outcome.ts';

/** How often it looks for jobs, and whether those it has are still its own. */
const TICK_MS = 500;
/** How long it takes none after sessions felt them. */
const REST_MS = 30_000;
const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 60_000;

export interface BatchWorkerDeps extends BatchRunDeps {
  readonly engine: AsrEngine;
  /** Not closed with this. */
  readonly redis: Redis;
  readonly queue: JobQueue;
  readonly slots: () => number;
  /** Sessions linked now, those still being verified included. */
  readonly links: () => number;
  readonly ready: () => boolean;
  /** A job is begun for the first time, `waitedMs` after it was made. */
  readonly onBegun: (waitedMs: number) => void;
  readonly onEnded: (outcome: RunEnd, tookMs: number) => void;
  /** A job was given back to the line, as its worker was not heard of. */
  readonly onStalled: () => void;
  readonly log: Logger;
  readonly tracer: Tracer;
}

interface Running {
  readonly job: Job<QueuedJob>;
  readonly run: string;
  readonly stop: AbortController;
  readonly settled: Promise<void>;
}

/** Why a run was stopped that may go on elsewhere or later. */
class GaveWay extends Error {
  override readonly name = 'GaveWay';
}

/** Why a run was stopped whose job is over, or another worker's by now. */
class Lost extends Error {
  override readonly name = 'Lost';
}

/** Does jobs on slots that no session has. A job is one piece on the engine at a time, so it takes one slot. */
export class BatchWorker {
  readonly #deps: BatchWorkerDeps;
  readonly #lines: JobLines;
  /** The newest last. */
  readonly #running: Running[] = [];
  readonly #ticks: Timer;
  #taking: Promise<void> | undefined;
  #ranSinceAsked = false;
  #restUntilMs = 0;
  #closed = false;

  constructor(deps: BatchWorkerDeps) {
    this.#deps = deps;
    this.#lines = new JobLines({
      redis: deps.redis,
      queue: deps.queue,
      model: deps.engine.model,
      lockMs: deps.batch.lockMs,
      onStalled: () => deps.onStalled(),
      onError: (error) => this.#fault(error),
    });
    this.#ticks = deps.clock.every(TICK_MS, () => this.#tick());
  }

  /** Jobs under way. */
  get jobs(): number {
    return this.#running.length;
  }

  /** Whether there were jobs since this was last asked. */
  ran(): boolean {
    const ran = this.#ranSinceAsked || this.#running.length > 0;
    this.#ranSinceAsked = false;
    return ran;
  }

  /** Called when sessions feel the load of jobs: gives all of them back, and takes none for a while. */
  rest(): void {
    const { clock, log } = this.#deps;
    this.#restUntilMs = clock.now() + REST_MS;
    log.info({ event: 'jobs_rest', jobs: this.#running.length, forMs: REST_MS });
    for (const { stop } of this.#running) stop.abort(new GaveWay('sessions feel the load of jobs'));
  }

  /** Called when a session has come: stops the newest jobs, at once, until there is a slot for each session. */
  giveWay(): void {
    let over = -this.#room();
    for (let at = this.#running.length - 1; at >= 0 && over > 0; at -= 1) {
      const { stop } = this.#running[at] as Running;
      if (!stop.signal.aborted) stop.abort(new GaveWay('a session needs the slot'));
      over -= 1;
    }
  }

  /** Gives back what it has. Settles when nothing runs. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#ticks.cancel();
    await this.#taking;
    for (const { stop } of this.#running) stop.abort(new GaveWay('the worker is stopped'));
    await Promise.all(this.#running.map(({ settled }) => settled));
    await this.#lines.close().catch((error: unknown) => this.#fault(error));
  }

  /** Slots for more jobs; below zero when sessions lack some. */
  #room(): number {
    const { slots, links, batch } = this.#deps;
    return slots() - batch.reserveSlots - links() - this.#running.length;
  }

  get #mayTake(): boolean {
    const { ready, clock, batch } = this.#deps;
    if (this.#closed || !ready() || clock.now() < this.#restUntilMs) return false;
    return this.#room() > 0 && this.#running.length < batch.maxJobs;
  }

  #tick(): void {
    // Slots may have become fewer.
    this.giveWay();
    for (const running of this.#running)
      void this.#keep(running).catch((error: unknown) => this.#fault(error));
    this.#take();
  }

  #take(): void {
    this.#taking ??= this.#takeAll()
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        this.#taking = undefined;
      });
  }

  async #takeAll(): Promise<void> {
    while (this.#mayTake) {
      const run = randomUUID();
      const job = await this.#lines.take(run);
      if (!job) return;
      // A session may have come meanwhile.
      if (!this.#mayTake) return void (await job.moveToWait(run));
      this.#start(job, run);
    }
  }

  #start(job: Job<QueuedJob>, run: string): void {
    const stop = new AbortController();
    const settled = this.#do(job, run, stop.signal)
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        this.#running.splice(this.#running.indexOf(running), 1);
        this.#ranSinceAsked = true;
        if (!this.#closed) this.#take();
      });
    const running = { job, run, stop, settled };
    this.#running.push(running);
  }

  async #do(job: Job<QueuedJob>, run: string, signal: AbortSignal): Promise<void> {
    const { store, queue, clock, log, onBegun, onEnded, engine, tracer } = this.#deps;
    const id = job.id ?? '';
    const record = await store.get(id);
    if (!record) return await this.#letGo(job, run);
    const sinceMs = clock.now();
    const trace = new JobTrace(record, clock, tracer);
    // The gateway's clock may be ahead.
    if (record.startedAtMs === undefined)
      onBegun(Math.max(0, clock.wallNow() - record.createdAtMs));
    log.info({ event: 'job_begun', job: id });
    let outcome: RunOutcome;
    try {
      await queue.begun(job.data);
      const traced = { ...this.#deps, engine: tracedEngine(engine, trace.traceparent) };
      outcome = await runJob(record, run, traced, signal);
    } catch (thrown) {
      // Whatever an abort broke off, it says why.
      const cause: unknown = signal.aborted ? signal.reason : thrown;
      const why = outcomeOf(cause);
      onEnded(why, clock.now() - sinceMs);
      const name = cause instanceof Error ? cause.name : undefined;
      const level = why === 'retried' ? 'warn' : 'info';
      const error = why === 'retried' ? (name ?? 'unknown') : undefined;
      const facts = trace.end(why, undefined, error);
      log[level]({ event: 'job_given_back', job: id, ...facts });
      return await this.#giveBack(job, run, why);
    }
    onEnded(outcome, clock.now() - sinceMs);
    const ended = await store.get(id).catch(() => undefined);
    log.info({ event: 'job_ended', job: id, ...trace.end(outcome, ended) });
    if (outcome === 'lost') await this.#giveBack(job, run, outcome);
    else await this.#letGo(job, run);
  }

  async #giveBack(
    job: Job<QueuedJob>,
    run: string,
    why: 'gave_way' | 'retried' | 'lost',
  ): Promise<void> {
    const { store, clock } = this.#deps;
    const id = job.id ?? '';
    // As it is since this run began it, and maybe got on.
    const { attempts = 0 } = (await store.get(id)) ?? {};
    if (why !== 'lost') await store.leave(id, run, { gaveWay: why === 'gave_way' });
    const state = await store.state(id);
    // One that is not over stays in the line, also when this run failed before it had begun it.
    if (state === undefined || JOB_IS_OVER[state]) return await this.#letGo(job, run);
    if (why !== 'retried') return await this.#asOwner(job.moveToWait(run));
    const delayMs = backoffMs(Math.max(0, attempts - 1), RETRY_BASE_MS, RETRY_CAP_MS);
    await this.#asOwner(job.moveToDelayed(clock.wallNow() + delayMs, run));
  }

  /** Takes what is over out of the line. */
  #letGo(job: Job<QueuedJob>, run: string): Promise<void> {
    return this.#asOwner(job.moveToCompleted(null, run, false));
  }

  /** BullMQ refuses whoever's lock is another's by now: so is the job then. */
  async #asOwner(moved: Promise<unknown>): Promise<void> {
    await moved.catch((error: unknown) => {
      this.#deps.log.debug({ event: 'job_not_moved', err: error });
    });
  }

  /** Stops a run whose job was cancelled, or has gone to another worker. */
  async #keep({ job, run, stop }: Running): Promise<void> {
    const { store, batch } = this.#deps;
    const extended = await job.extendLock(run, batch.lockMs);
    const state = await store.state(job.id ?? '');
    // Queued it is before its first step.
    if (extended === 1 && (state === 'running' || state === 'queued')) return;
    stop.abort(new Lost('the job is over, or another worker has it'));
  }

  #fault(error: unknown): void {
    // That Redis is away is told by the connection's owner, once.
    const level = redisFault(error) instanceof RedisUnavailable ? 'debug' : 'warn';
    this.#deps.log[level]({ event: 'job_fault', err: error });
  }
}

function outcomeOf(cause: unknown): 'gave_way' | 'lost' | 'retried' {
  if (cause instanceof GaveWay) return 'gave_way';
  return cause instanceof Lost ? 'lost' : 'retried';
}
