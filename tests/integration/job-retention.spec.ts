import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { JobSweeper } from '@voice-fleet/gateway/jobs/job-sweeper';
import { LocalBlobs } from '@voice-fleet/jobs/blobs/local-blobs';
import { JobOptions } from '@voice-fleet/jobs/job';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { turnKey } from '@voice-fleet/jobs/keys';
import { WebhookStore } from '@voice-fleet/jobs/webhooks/webhook-store';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let server: TestRedis;
let redis: Redis;
let store: JobStore;
let folder: string;
let blobs: LocalBlobs;
let clock: FakeClock;
let swept: string[];

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
  await untilReady(redis, AbortSignal.timeout(10_000));
  folder = await mkdtemp(join(tmpdir(), 'vf-retention-'));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await redis.flushall();
  await rm(join(folder, 'jobs'), { recursive: true, force: true });
  store = new JobStore(redis);
  blobs = new LocalBlobs(folder);
  clock = new FakeClock();
  swept = [];
});

function sweeper(audioKeptMs: number, keptMs: number): JobSweeper {
  return new JobSweeper({
    ...{ clock, store, blobs, audioKeptMs, keptMs },
    onSwept: (what) => swept.push(what),
    log: createLogger('test', 'error', { write: () => undefined }),
  });
}

/** Its turn has come again, which Redis tells by its own clock. */
async function sweep(one: JobSweeper): Promise<void> {
  const turns = await redis.keys('*turn*');
  if (turns.length > 0) await redis.del(turns);
  await one.sweep();
}

async function keep(id: string): Promise<void> {
  const bytes = (async function* () {
    yield await Promise.resolve(Buffer.from('speech'));
  })();
  const { signal } = new AbortController();
  await blobs.put(`jobs/${id}`, bytes, { maxBytes: 100, signal });
}

async function job(id: string, over = true): Promise<void> {
  await keep(id);
  const own = { id, tenantId: 'acme', keyId: 'k', audioKey: `jobs/${id}`, weight: 1 };
  const options = JobOptions.parse({ webhookUrl: 'https://example.com/' });
  const spec = { ...own, options, createdAtMs: 1 };
  await store.create(spec, { ofTenant: 0, ofAll: 0 });
  if (over) await store.end(own, 'completed', { nowMs: clock.wallNow() });
}

const recordings = async (): Promise<string[]> => (await readdir(join(folder, 'jobs'))).sort();
const keys = async (id: string): Promise<string[]> => await redis.keys(`*${id}*`);

describe('what is left of jobs', () => {
  it('goes when its time has come: first the recording, then all else, and nothing of jobs that are not over', async () => {
    await job('over');
    await job('open', false);
    const one = sweeper(2 * HOUR_MS, DAY_MS);
    await sweep(one);
    expect(await recordings()).toEqual(['open', 'over']);
    clock.advance(2 * HOUR_MS);
    await job('later');
    await sweep(one);
    expect(await recordings()).toEqual(['later', 'open']);
    expect(await store.get('over')).toMatchObject({ state: 'completed' });
    // Somebody was told of it meanwhile.
    const webhooks = new WebhookStore(redis);
    const lease = { token: 't', leaseMs: 60_000 };
    await webhooks.take({ ...lease, limit: 9, share: 9, underWay: new Map() });
    await webhooks.begin('over', lease, { body: '{}', maxAttempts: 2 });
    const delivery = { atMs: 1, ms: 1, status: 500 };
    await webhooks.settle('over', 't', 'failed', { retryMs: 1, maxAgeMs: DAY_MS, delivery });
    expect((await keys('over')).length).toBeGreaterThan(2);
    clock.advance(DAY_MS - 2 * HOUR_MS);
    await sweep(one);
    expect(await keys('over')).toEqual([]);
    expect((await store.list('acme', { limit: 9 })).jobs.map(({ id }) => id)).toEqual([
      ...['open', 'later'],
    ]);
    expect(await recordings()).toEqual(['open']);
    expect(swept).toEqual(['recording', 'recording', 'job']);
    await sweep(one);
    expect(swept).toHaveLength(3);
  });

  it('goes at once when nothing is kept, and the recording never after its record', async () => {
    await job('j1');
    await sweep(sweeper(0, DAY_MS));
    expect([await recordings(), await store.state('j1')]).toEqual([[], 'completed']);
    await job('j2');
    clock.advance(HOUR_MS);
    await sweep(sweeper(DAY_MS, HOUR_MS));
    expect([await recordings(), await store.get('j2')]).toEqual([[], undefined]);
  });

  it('is cleared up by one gateway at a time', async () => {
    await job('j1');
    await Promise.all([sweeper(0, DAY_MS), sweeper(0, DAY_MS)].map((one) => one.sweep()));
    expect(swept).toEqual(['recording']);
    await job('j2');
    // However long this test takes, the turn is not over.
    await redis.persist(turnKey('sweep'));
    await sweeper(0, DAY_MS).sweep();
    expect(await recordings()).toEqual(['j2']);
  });

  it('stays while its recording cannot be removed, and holds nothing up', async () => {
    for (const id of ['bad', 'good']) await job(id);
    const { remove } = blobs;
    blobs.remove = (key) =>
      key === 'jobs/bad' ? Promise.reject(new Error('disk')) : remove.call(blobs, key);
    const one = sweeper(0, DAY_MS);
    await sweep(one);
    expect(await recordings()).toEqual(['bad']);
    blobs.remove = remove;
    await sweep(one);
    expect(await recordings()).toEqual(['bad']);
    clock.advance(600_000);
    await sweep(one);
    expect(await recordings()).toEqual([]);
    expect((await store.get('bad'))?.endedAtMs).toBe(new FakeClock().wallNow());
    clock.advance(DAY_MS - 600_000);
    await sweep(one);
    expect(await store.get('bad')).toBeUndefined();
  });

  it('goes a day after an upload of which no job was made', async () => {
    const nowS = clock.wallNow() / 1000;
    await job('open', false);
    for (const id of ['orphan', 'new']) await keep(id);
    for (const id of ['open', 'orphan'])
      await utimes(join(folder, 'jobs', id), nowS - 86_401, nowS - 86_401);
    await utimes(join(folder, 'jobs/new'), nowS - 86_000, nowS - 86_000);
    await sweep(sweeper(0, DAY_MS));
    expect(await recordings()).toEqual(['new', 'open']);
    expect(swept).toEqual(['orphan']);
  });

  it('is no matter when others have deleted it meanwhile', async () => {
    await job('j1');
    await redis.del(...(await redis.keys('*record:j1')));
    await sweep(sweeper(0, DAY_MS));
    expect(swept).toEqual([]);
    expect(await redis.keys('*ended*')).toEqual([]);
  });
});
