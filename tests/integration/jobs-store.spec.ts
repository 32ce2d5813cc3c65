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
import { JobLines } from '@voice-fleet/asr-worker/batch/job-lines';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import type { JobOptions } from '@voice-fleet/jobs/job';
import { newJobId } from '@voice-fleet/jobs/job-id';
import { JobQueue, type QueuedJob } from '@voice-fleet/jobs/job-queue';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { ENDED_KEY, recordKey, segmentsKey, UNTOLD_KEY } from '@voice-fleet/jobs/keys';
import type { JobPriority } from '@voice-fleet/protocol/jobs';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Job } from 'bullmq';
import { Redis } from 'ioredis';

let server: TestRedis;
let redis: Redis;
let store: JobStore;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
  await untilReady(redis, AbortSignal.timeout(10_000));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await redis.flushall();
  store = new JobStore(redis);
});

const job = (id: string, tenantId = 'acme') => ({
  id,
  tenantId,
  keyId: 'k',
  options: { priority: 'normal' } satisfies JobOptions as JobOptions,
  audioKey: `audio/${id}`,
  weight: 1,
  createdAtMs: Number(id.replace(/\D/g, '')) || 1,
});
const ANY = { ofTenant: 0, ofAll: 0 };
const segment = (index: number) => ({
  index,
  fromSample: index * 100,
  toSample: index * 100 + 100,
  words: [{ text: ` w${index}`, startSample: index * 100, endSample: index * 100 + 50 }],
});

describe('the store of batch jobs', () => {
  it('keeps a job once', async () => {
    expect(await store.create(job('j1'), ANY)).toEqual({ kind: 'created' });
    expect(await store.create(job('j1'), ANY)).toEqual({ kind: 'known' });
    expect(await store.get('j1')).toEqual({
      ...job('j1'),
      state: 'queued',
      attempts: 0,
      doneSamples: 0,
    });
    expect([await store.get('none'), await store.state('none')]).toEqual([undefined, undefined]);
  });

  it('reads a job and its segments that a newer version wrote', async () => {
    await store.create(job('j1'), ANY);
    const known = await store.get('j1');
    const { options, ...spec } = job('j1');
    const newer = { ...spec, options: { ...options, speakers: 2 }, region: 'eu' };
    await redis.hset(recordKey('j1'), 'spec', JSON.stringify(newer));
    const [word] = segment(0).words;
    const words = [{ ...word, speaker: 1 }];
    await redis.rpush(segmentsKey('j1'), JSON.stringify({ ...segment(0), words, channel: 1 }));
    expect([await store.get('j1'), await store.segments('j1')]).toEqual([known, [segment(0)]]);
  });

  it('lists jobs of a tenant by pages, the newest first, those of one millisecond as well', async () => {
    const ids = [newJobId(999), newJobId(1000), newJobId(1000), newJobId(1000), newJobId(10_000)];
    for (const id of ids) await store.create(job(id), ANY);
    await store.create(job(newJobId(1000), 'other'), ANY);
    const [, ...same] = ids.slice(0, 4).toSorted();
    const newestFirst = [ids[4], ...same.reverse(), ids[0]];
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.list('acme', { limit: 2, ...(cursor !== undefined && { cursor }) });
      listed.push(...page.jobs.map(({ id }) => id));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(listed).toEqual(newestFirst);
    await store.end(job(ids[0] ?? ''), 'cancelled', { nowMs: 1 });
    const page = await store.list('acme', { limit: 2, state: 'cancelled' });
    expect(page).toMatchObject({ jobs: [{ id: ids[0] }] });
  });

  it('looks for the few jobs of a state in a few steps, and misses none', async () => {
    const ids = Array.from({ length: 250 }, (_, at) => newJobId(1000 + at));
    await Promise.all(ids.map((id) => store.create(job(id), ANY)));
    const wanted = [ids[240], ids[239], ids[3]].map(String);
    for (const id of wanted) await store.end(job(id), 'failed', { nowMs: 1 });
    const asked = jest.spyOn(redis, 'zrevrangebylex');
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const from = cursor === undefined ? {} : { cursor };
      const page = await store.list('acme', { limit: 1, state: 'failed', ...from });
      listed.push(...page.jobs.map(({ id }) => id));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(listed).toEqual(wanted);
    expect(asked.mock.calls.length).toBeLessThan(10);
    asked.mockRestore();
  });

  it('takes no more than may be open, of a tenant and of all, until one is over', async () => {
    const bounds = { ofTenant: 1, ofAll: 2 };
    await store.create(job('j1'), bounds);
    expect(await store.create(job('j2'), bounds)).toEqual({ kind: 'too_many' });
    expect(await store.get('j2')).toBeUndefined();
    await store.create(job('j3', 'other'), bounds);
    expect(await store.create(job('j4', 'third'), bounds)).toEqual({ kind: 'full' });
    await store.end(job('j1'), 'cancelled', { nowMs: 5 });
    expect(await store.create(job('j2'), bounds)).toEqual({ kind: 'created' });
  });

  it('makes one job of a request that is heard twice, and none of another with its name', async () => {
    const request = { name: 'mine', print: 'p', keptMs: 60_000 };
    const made = await Promise.all(
      ['j1', 'j2', 'j3'].map((id) => store.create(job(id), ANY, request)),
    );
    const same = { kind: 'same', id: 'j1' };
    expect(made).toEqual([{ kind: 'created' }, same, same]);
    expect(await store.made('acme', 'mine')).toEqual({ id: 'j1', print: 'p' });
    const other = { ...request, print: 'q' };
    expect(await store.create(job('j4'), ANY, other)).toEqual({ kind: 'conflict' });
    expect(await store.create(job('j5', 'other'), ANY, other)).toEqual({ kind: 'created' });
    const bounds = { ofTenant: 1, ofAll: 1 };
    expect(await store.create(job('j6'), bounds, request)).toEqual(same);
  });

  it('knows which jobs may not have reached the queue', async () => {
    for (const id of ['j1', 'j2', 'j3']) await store.create(job(id), ANY);
    await store.queued('j1');
    expect(await store.unqueued(2, 9)).toEqual(['j2']);
    await store.end(job('j2'), 'cancelled', { nowMs: 3 });
    expect(await store.unqueued(9, 9)).toEqual(['j3']);
  });

  it('goes on after the last finished segment, whoever goes on', async () => {
    await store.create(job('j1'), ANY);
    expect(await store.begin('j1', 'first', 10, 3)).toEqual({ kind: 'begun', segments: 0 });
    expect(await store.append('j1', 'first', segment(0), 250)).toBe(true);
    // Its worker died; another one took it up.
    expect(await store.begin('j1', 'second', 20, 3)).toEqual({ kind: 'begun', segments: 1 });
    // It was not dead after all.
    expect(await store.append('j1', 'first', segment(1), 250)).toBe(false);
    expect(await store.leave('j1', 'first', { gaveWay: false })).toBe(false);
    expect(await store.end(job('j1'), 'completed', { runner: 'first', nowMs: 30 })).toBe(false);
    // Neither twice nor with a gap.
    expect(await store.append('j1', 'second', segment(0), 250)).toBe(false);
    expect(await store.append('j1', 'second', segment(2), 250)).toBe(false);
    expect(await store.append('j1', 'second', segment(1), 250)).toBe(true);
    expect(await store.end(job('j1'), 'completed', { runner: 'second', nowMs: 40 })).toBe(true);
    expect(await store.segments('j1')).toEqual([segment(0), segment(1)]);
    expect(await store.get('j1')).toMatchObject({
      ...{ state: 'completed', doneSamples: 200, durationSamples: 250 },
      ...{ startedAtMs: 10, endedAtMs: 40 },
    });
  });

  it('counts attempts that came to nothing, and no others', async () => {
    await store.create(job('j1'), ANY);
    for (let time = 0; time < 5; time += 1) {
      expect(await store.begin('j1', 'r', 1, 2)).toMatchObject({ kind: 'begun' });
      await store.leave('j1', 'r', { gaveWay: true });
    }
    await store.begin('j1', 'r', 1, 2);
    await store.append('j1', 'r', segment(0), 300);
    await store.leave('j1', 'r', { gaveWay: false });
    expect(await store.begin('j1', 's', 1, 2)).toMatchObject({ kind: 'begun' });
    // And died twice.
    expect(await store.begin('j1', 't', 1, 2)).toEqual({ kind: 'exhausted' });
    expect(await store.append('j1', 's', segment(1), 300)).toBe(false);
    expect(await store.end(job('j1'), 'quarantined', { runner: 't', nowMs: 2 })).toBe(true);
    expect(await store.begin('j1', 'u', 1, 2)).toEqual({ kind: 'over' });
    expect(await store.begin('none', 'u', 1, 2)).toEqual({ kind: 'gone' });
  });

  it('ends a job once, and tells of it once', async () => {
    await store.create(job('j1'), ANY);
    await store.begin('j1', 'r', 1, 3);
    const error = { code: 'invalid_audio', message: 'It is damaged.' };
    const ends = await Promise.all([
      store.end(job('j1'), 'cancelled', { nowMs: 2 }),
      store.end(job('j1'), 'failed', { runner: 'r', nowMs: 2, error }),
      store.end(job('j1'), 'cancelled', { nowMs: 2 }),
    ]);
    expect(ends.filter(Boolean)).toHaveLength(1);
    expect(await redis.zrange(ENDED_KEY, 0, -1)).toEqual(['j1']);
    expect(await redis.exists(UNTOLD_KEY)).toBe(0);
    const webhookUrl = 'https://example.com/told';
    const told = { ...job('j2'), options: { priority: 'normal' as const, webhookUrl } };
    await store.create(told, ANY);
    await store.end(told, 'cancelled', { nowMs: 7 });
    expect(await redis.zrange(UNTOLD_KEY, 0, -1, 'WITHSCORES')).toEqual(['j2', '7']);
    await store.delete(told);
    expect(await redis.exists(UNTOLD_KEY)).toBe(0);
    expect(await store.append('j1', 'r', segment(0), 1)).toBe(false);
    await store.delete(job('j1'));
    expect([await store.get('j1'), await store.list('acme', { limit: 9 })]).toEqual([
      undefined,
      { jobs: [] },
    ]);
  });
});

describe('the line of batch jobs', () => {
  let queue: JobQueue;
  let lines: JobLines;

  const linesOf = (model: string): JobLines =>
    new JobLines({
      ...{ redis, queue, model, lockMs: 10_000, onStalled: () => undefined },
      onError: (error) => {
        throw error;
      },
    });

  beforeEach(() => {
    queue = new JobQueue(redis);
    lines = linesOf('m');
  });

  const add = (id: string, tenantId: string, weight = 1, priority: JobPriority = 'normal') =>
    queue.add({ id, tenantId, priority, weight });
  /** Takes jobs as a worker does. */
  async function take(count: number, from = lines): Promise<string[]> {
    const taken: string[] = [];
    while (taken.length < count) {
      const next = await from.take('token');
      if (!next) break;
      taken.push(next.data.id);
      await queue.begun(next.data);
      await next.moveToCompleted('done', 'token', false);
    }
    return taken;
  }
  afterEach(async () => {
    await lines.close();
    await queue.close();
  });

  it('lets tenants take turns, however many jobs one has', async () => {
    for (const id of ['a1', 'a2', 'a3', 'a4']) await add(id, 'a');
    await add('b1', 'b');
    expect(await take(3)).toEqual(['a1', 'b1', 'a2']);
    // A newcomer is not served for the time before it came, and not made to wait for all.
    await add('c1', 'c');
    await add('c2', 'c');
    expect(await take(9)).toEqual(['a3', 'c1', 'a4', 'c2']);
  });

  it('serves by weight, and higher classes before', async () => {
    for (const id of ['a1', 'a2', 'a3', 'a4']) await add(id, 'a', 2);
    for (const id of ['b1', 'b2']) await add(id, 'b', 1);
    await add('low', 'c', 1, 'low');
    await add('high', 'd', 1, 'high');
    await add('high', 'd', 1, 'high');
    const [first, ...rest] = await take(9);
    expect(first).toBe('high');
    expect(rest.at(-1)).toBe('low');
    expect(rest.slice(0, 3).filter((id) => id.startsWith('a'))).toHaveLength(2);
  });

  it('has newcomers wait behind a job that gave way, though none waited when it was begun', async () => {
    for (const id of ['a1', 'a2', 'a3']) await add(id, 'a');
    const begun: Job<QueuedJob>[] = [];
    for (let next = await lines.take('token'); next; next = await lines.take('token')) {
      await queue.begun(next.data);
      begun.push(next);
    }
    for (const id of ['b1', 'b2', 'b3']) await add(id, 'b');
    await begun.at(-1)?.moveToWait('token');
    expect(await take(9)).toEqual(['a3', 'b1', 'b2', 'b3']);
  });

  it('forgets ranks when nothing waits, and jobs that are removed', async () => {
    await add('a1', 'a');
    await add('a2', 'a');
    await queue.remove({ id: 'a1' });
    expect(await queue.waiting()).toBe(1);
    expect(await take(2)).toEqual(['a2']);
    expect(await redis.keys('*ranks*')).toEqual([]);
  });

  it('gives jobs to workers of their model only, and others to any, by class and in turns', async () => {
    const addFor = (id: string, model: string | undefined, priority: JobPriority = 'normal') =>
      queue.add({ id, model, tenantId: 'a', priority, weight: 1 });
    // As names of models may be.
    const [mine, other] = ['org/Voice-4B: {x}', 'org/Voice-24B'];
    for (const id of ['o1', 'o2']) await addFor(id, other);
    for (const id of ['m1', 'm2', 'm3']) await addFor(id, mine);
    for (const id of ['any1', 'any2']) await addFor(id, undefined);
    await addFor('any-high', undefined, 'high');
    await addFor('m-low', mine, 'low');
    expect(await queue.waiting()).toBe(9);
    const [one, two] = [linesOf(mine), linesOf(other)];
    const taken = await take(9, one);
    expect(taken).toEqual(['any-high', 'm1', 'any1', 'm2', 'any2', 'm3', 'm-low']);
    expect([await queue.has({ id: 'o1', model: other }), await queue.has({ id: 'o1' })]).toEqual([
      true,
      false,
    ]);
    await queue.remove({ id: 'o1', model: other });
    expect(await take(9, two)).toEqual(['o2']);
    await Promise.all([one.close(), two.close()]);
  });
});
