import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import type { BatchSettings } from '@voice-fleet/asr-worker/batch/batch-env';
import { BatchWorker } from '@voice-fleet/asr-worker/batch/batch-worker';
import type { RunEnd } from '@voice-fleet/asr-worker/batch/run-outcome';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { LocalBlobs } from '@voice-fleet/jobs/blobs/local-blobs';
import { JobOptions, type JobRecord } from '@voice-fleet/jobs/job';
import { JobQueue } from '@voice-fleet/jobs/job-queue';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { QUEUE_PREFIX, queueName } from '@voice-fleet/jobs/keys';
import { writeWav } from '@voice-fleet/speech/wav';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER } from '@voice-fleet/telemetry/tracing/tracer';
import { range, SLOT_SAMPLES, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

/** In the second piece of LONG, the overlaps of segments in the first included. */
const AMID_LONG = 64 * 16_000;
const LATER_MS = Date.now() + 3_600_000;
/** BullMQ's scores of delayed jobs hold a counter as well. */
const SCORES_PER_MS = 0x1000;
const TICK_MS = 500;

let server: TestRedis;
let redis: Redis;
let folder: string;
let blobs: LocalBlobs;
let store: JobStore;
let queue: JobQueue;
let bull: Queue;
let ledger: UsageLedger;
let workers: BatchWorker[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-batch-'));
  blobs = new LocalBlobs(folder);
  server = await startRedis();
  redis = connectRedis(server.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
  await untilReady(redis, AbortSignal.timeout(60_000));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await redis.flushall();
  store = new JobStore(redis);
  queue = new JobQueue(redis);
  ledger = new UsageLedger(redis);
  bull = new Queue(queueName(undefined), { connection: redis, prefix: QUEUE_PREFIX });
  workers = [];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await Promise.all([queue.close(), bull.close()]);
});

interface Bench {
  readonly worker: BatchWorker;
  readonly engine: ScriptedEngine;
  readonly clock: FakeClock;
  readonly ended: RunEnd[];
  /** How long jobs had waited. */
  readonly waited: number[];
  /** Sessions linked. */
  links: number;
}

/** A worker whose clock stands still until it is told to go on. */
function bench(
  slots: number,
  settings: Partial<BatchSettings> = {},
  { ledger: books = ledger, queue: line = queue } = {},
): Bench {
  const engine = new ScriptedEngine({ slots });
  const clock = new FakeClock();
  // BullMQ tries again what is due by the time of day: nothing is, by itself.
  Object.assign(clock, { wallNow: () => LATER_MS });
  const ended: RunEnd[] = [];
  const waited: number[] = [];
  const state = { links: 0 };
  const worker = new BatchWorker({
    tracer: NO_TRACER,
    ...{ engine, clock, store, queue: line, blobs, redis, ledger: books },
    settings: {
      plan: { segmentSamples: 30 * 16_000, pauseFromSamples: 15 * 16_000, overlapSamples: 12_800 },
      maxBacklogSamples: 0,
      finishTimeoutMs: 30_000,
      quietTimeoutMs: 10_000,
      recovery: { maxAttempts: 0, overlapSamples: 32_000, replaySamples: 480_000 },
    },
    batch: {
      maxJobs: 8,
      reserveSlots: 0,
      maxAttempts: 3,
      lockMs: 60_000,
      decode: { maxDurationMs: 3_600_000, ffmpeg: 'ffmpeg' },
      blobs: { kind: 'local', folder },
      ...settings,
    },
    slots: () => slots,
    links: () => state.links,
    ready: () => true,
    onPiece: () => undefined,
    onBegun: (waitedMs) => void waited.push(waitedMs),
    onEnded: (outcome) => void ended.push(outcome),
    onStalled: () => undefined,
    log: createLogger('asr-worker', 'fatal', { write: () => undefined }),
  });
  workers.push(worker);
  return Object.assign(state, { worker, engine, clock, ended, waited });
}

/** A job in the line, of a recording in which these words are spoken. */
async function submit(id: string, words: readonly number[], createdAtMs = 1): Promise<void> {
  const audioKey = `jobs/${id}`;
  const recording = (async function* () {
    yield writeWav(speak(words), 16_000);
  })();
  await blobs.put(audioKey, recording, { maxBytes: 1e9, signal: new AbortController().signal });
  const options = JobOptions.parse({});
  const own = { id, tenantId: 'acme', keyId: 'key', weight: 1, createdAtMs };
  await store.create({ ...own, options, audioKey }, { ofTenant: 0, ofAll: 0 });
  await queue.add({ id, tenantId: 'acme', priority: 'normal', weight: 1 });
}

const record = async (id: string): Promise<JobRecord> => (await store.get(id)) as JobRecord;
const isState = (id: string, state: string) =>
  until(async () => (await store.state(id)) === state, `${id} is ${state}`);
async function textOf(id: string): Promise<string> {
  const words = (await store.segments(id)).flatMap((segment) => segment.words);
  return words.map(({ text }) => text).join('');
}
async function booked(): Promise<{ samples: number; sessions: number } | undefined> {
  const { day } = await ledger.today('acme');
  const [row] = await ledger.usage('acme', { fromDay: day, toDay: day });
  return row && { samples: row.samples, sessions: row.sessions };
}

/** Done waiting to be tried again; returns how long that was to be. */
async function promote(id: string): Promise<number> {
  await until(async () => (await bull.getDelayedCount()) === 1, `${id} waits to be tried again`);
  const score = Number(await redis.zscore(bull.toKey('delayed'), id));
  await (await bull.getJob(id))?.promote();
  return Math.floor(score / SCORES_PER_MS) - LATER_MS;
}

const ONE = range(1, 6);
const LONG = range(1, 170);

describe('a worker that does jobs', () => {
  it('frees the engine in the very moment in which a session comes, and goes on when it has gone', async () => {
    const one = bench(2);
    one.engine.stall();
    await submit('first', ONE);
    await submit('second', ONE);
    one.clock.advance(TICK_MS);
    await until(() => one.engine.openStreams === 2, 'both are under way');
    one.links = 1;
    one.worker.giveWay();
    expect(one.engine.openStreams).toBe(1);
    await isState('second', 'queued');
    expect(await record('second')).toMatchObject({ attempts: 0 });
    await until(() => one.worker.jobs === 1, 'it was given back');
    one.clock.advance(10 * TICK_MS);
    expect([one.worker.jobs, await store.state('first')]).toEqual([1, 'running']);
    one.links = 0;
    one.engine.resume();
    one.clock.advance(TICK_MS);
    for (const id of ['first', 'second']) {
      await isState(id, 'completed');
      expect(await textOf(id)).toBe(transcript(ONE));
    }
    await until(() => one.ended.length === 3, 'its end is told');
    expect(one.ended.sort()).toEqual(['completed', 'completed', 'gave_way']);
  });

  it('gives all back when sessions feel its jobs, and takes none for half a minute', async () => {
    const one = bench(2);
    one.engine.stall();
    await submit('job', ONE);
    expect(one.worker.ran()).toBe(false);
    one.clock.advance(TICK_MS);
    await until(() => one.engine.openStreams === 1, 'it is under way');
    expect(one.worker.ran()).toBe(true);
    one.worker.rest();
    expect(one.engine.openStreams).toBe(0);
    await until(() => one.worker.jobs === 0, 'it was given back');
    expect([one.worker.ran(), one.worker.ran()]).toEqual([true, false]);
    one.engine.resume();
    one.clock.advance(29_500);
    await isState('job', 'queued');
    expect(one.worker.jobs).toBe(0);
    one.clock.advance(TICK_MS);
    await isState('job', 'completed');
    expect(await textOf('job')).toBe(transcript(ONE));
  });

  it('leaves slots free for sessions to come, and takes no more at once than it may', async () => {
    const one = bench(3, { reserveSlots: 1 });
    const two = bench(9, { maxJobs: 1 });
    one.engine.stall();
    two.engine.stall();
    for (const id of ['a', 'b', 'c', 'd']) await submit(id, ONE);
    one.clock.advance(TICK_MS);
    await until(() => one.engine.openStreams === 2, 'two are under way');
    two.clock.advance(TICK_MS);
    await until(() => two.engine.openStreams === 1, 'a third is');
    for (const { clock } of [one, two]) clock.advance(TICK_MS);
    expect([one.worker.jobs, two.worker.jobs, await queue.waiting()]).toEqual([2, 1, 1]);
    one.links = 1;
    one.worker.giveWay();
    expect(one.engine.openStreams).toBe(1);
  });

  it('tries again what failed, later each time, until it gets on; and books it once', async () => {
    const one = bench(1);
    await submit('job', LONG);
    const delays: number[] = [];
    for (const times of [1, 2]) {
      one.engine.failNextWrite = true;
      one.clock.advance(TICK_MS);
      await until(() => one.ended.length === times, 'it failed');
      delays.push(await promote('job'));
      expect(await record('job')).toMatchObject({ state: 'queued', attempts: times });
    }
    // The third time it gets past its first piece.
    one.engine.stall(AMID_LONG);
    one.clock.advance(TICK_MS);
    await until(async () => (await store.segments('job')).length === 1, 'a piece is done');
    await until(() => one.engine.openStreams === 1, 'the next is under way');
    one.engine.failNextWrite = true;
    one.engine.resume();
    await until(() => one.ended.length === 3, 'it failed again');
    delays.push(await promote('job'));
    // The upper half of 1 s, of 2 s, and of 1 s again.
    expect(delays.map((ms) => Math.ceil(ms / 500))).toEqual([2, expect.any(Number), 2]);
    expect(Math.ceil((delays[1] ?? 0) / 1_000)).toBe(2);
    one.clock.advance(TICK_MS);
    await isState('job', 'completed');
    expect(await textOf('job')).toBe(transcript(LONG));
    await until(() => one.ended.length === 4, 'its end is told');
    expect(one.ended).toEqual(['retried', 'retried', 'retried', 'completed']);
    expect(await booked()).toEqual({ samples: LONG.length * SLOT_SAMPLES, sessions: 1 });
  });

  it('quarantines what fails each time, with a code that says so', async () => {
    const one = bench(1, { maxAttempts: 2 });
    await submit('poison', ONE);
    for (const times of [1, 2]) {
      one.engine.failNextWrite = true;
      one.clock.advance(TICK_MS);
      await until(() => one.ended.length === times, 'it failed');
      await promote('poison');
    }
    one.clock.advance(TICK_MS);
    await isState('poison', 'quarantined');
    expect(await record('poison')).toMatchObject({ error: { code: 'job_quarantined' } });
    expect([await booked(), await textOf('poison')]).toEqual([undefined, '']);
  });

  it('takes no job for one that waited less than not at all, whatever the clock of its gateway', async () => {
    const one = bench(1);
    await submit('job', ONE, LATER_MS + 5_000);
    one.clock.advance(TICK_MS);
    await isState('job', 'completed');
    expect(one.waited).toEqual([0]);
  });

  it('tells the end of a run once, also when Redis gives no answer behind it', async () => {
    const one = bench(1);
    await submit('job', ONE);
    await store.end(await record('job'), 'cancelled', { nowMs: 2 });
    const asked = jest.spyOn(store, 'state').mockRejectedValueOnce(new Error('Redis is late'));
    one.clock.advance(TICK_MS);
    await until(() => one.ended.length > 0 && one.worker.jobs === 0, 'the run is over');
    asked.mockRestore();
    expect(one.ended).toEqual(['lost']);
  });

  it('books once what it booked and could not end', async () => {
    class LosesAnAnswer extends UsageLedger {
      #lost = false;
      override async charge(
        ...args: Parameters<UsageLedger['charge']>
      ): ReturnType<UsageLedger['charge']> {
        const booking = await super.charge(...args);
        if (this.#lost) return booking;
        this.#lost = true;
        throw new Error('the answer was lost');
      }
    }
    const one = bench(1, {}, { ledger: new LosesAnAnswer(redis) });
    await submit('job', ONE);
    one.clock.advance(TICK_MS);
    await until(() => one.ended.length === 1, 'it failed');
    await promote('job');
    one.clock.advance(TICK_MS);
    await isState('job', 'completed');
    await until(() => one.ended.length === 2, 'its end is told');
    expect(one.ended).toEqual(['retried', 'completed']);
    expect(await booked()).toEqual({ samples: ONE.length * SLOT_SAMPLES, sessions: 1 });
    expect(await textOf('job')).toBe(transcript(ONE));
  });

  it('keeps in the line what it could not even begin', async () => {
    class FailsOnce extends JobQueue {
      #failed = false;
      override async begun(...args: Parameters<JobQueue['begun']>): Promise<void> {
        if (this.#failed) return await super.begun(...args);
        this.#failed = true;
        throw new Error('Redis is late');
      }
    }
    const line = new FailsOnce(redis);
    const one = bench(1, {}, { queue: line });
    await submit('job', ONE);
    one.clock.advance(TICK_MS);
    await until(() => one.ended.length === 1, 'it failed');
    expect(await promote('job')).toBeLessThanOrEqual(1_000);
    one.clock.advance(TICK_MS);
    await isState('job', 'completed');
    expect(await record('job')).toMatchObject({ attempts: 1 });
    await until(() => one.worker.jobs === 0, 'it was let go');
    await line.close();
  });

  it('writes nothing more of a job that another worker has by now', async () => {
    // The clock of the first stands still, so that it keeps no lock.
    const settings = { lockMs: 400, maxAttempts: 100 };
    const [first, second] = [bench(1, settings), bench(1, settings)];
    first.engine.stall();
    await submit('job', ONE);
    first.clock.advance(TICK_MS);
    await until(() => first.engine.openStreams === 1, 'it is under way');
    await until(async () => {
      second.clock.advance(TICK_MS);
      return (await store.state('job')) === 'completed';
    }, 'another has done it');
    const done = await record('job');
    first.engine.resume();
    await until(() => first.ended.length === 1, 'the first is done');
    expect(first.ended).toEqual(['lost']);
    expect([await textOf('job'), await record('job')]).toEqual([transcript(ONE), done]);
    expect(await booked()).toEqual({ samples: ONE.length * SLOT_SAMPLES, sessions: 1 });
  });

  it('stops the engine within a second of the end of its job, and forgets that', async () => {
    const one = bench(1);
    one.engine.stall();
    await submit('job', ONE);
    one.clock.advance(TICK_MS);
    await until(() => one.engine.openStreams === 1, 'it is under way');
    await store.end(await record('job'), 'cancelled', { nowMs: 2 });
    one.clock.advance(1_000);
    await until(() => one.engine.openStreams === 0, 'it was stopped');
    await until(() => one.ended.length === 1, 'it is done');
    expect([one.ended, await store.state('job')]).toEqual([['lost'], 'cancelled']);
    await until(async () => (await bull.getJob('job')) === undefined, 'it is not in the line');
  });
});
