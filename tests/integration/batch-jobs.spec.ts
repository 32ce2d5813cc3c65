import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AsrWorker } from '@voice-fleet/asr-worker/worker';
import { LocalBlobs } from '@voice-fleet/jobs/blobs/local-blobs';
import { JobOptions, type JobRecord } from '@voice-fleet/jobs/job';
import { JobQueue } from '@voice-fleet/jobs/job-queue';
import { type JobSpec, JobStore } from '@voice-fleet/jobs/job-store';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Redis } from 'ioredis';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

let folder: string;
let fleet: Fleet;
let redis: Redis;
let store: JobStore;
let queue: JobQueue;
let blobs: LocalBlobs;
let receiver: Server;
/** Webhooks by the id of their event, each with how often it came. */
const told = new Map<string, number>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-jobs-'));
  blobs = new LocalBlobs(folder);
  receiver = createServer((request, response) => {
    const id = String(request.headers['webhook-id']);
    told.set(id, (told.get(id) ?? 0) + 1);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const env = {
    ...{ JOBS_DIR: folder, JOBS_AUDIO_KEPT_H: '1' },
    JOBS_WEBHOOK_SECRET: 'a-secret-of-the-fleet',
    JOBS_WEBHOOK_ALLOW: `!127.0.0.1:${(receiver.address() as AddressInfo).port}`,
  };
  fleet = await Fleet.start([], env);
  await fleet.addGateway(env);
  redis = new Redis(fleet.redis.url);
  store = new JobStore(redis);
  queue = new JobQueue(redis);
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await fleet[Symbol.asyncDispose]();
  receiver.close();
  await rm(folder, { recursive: true, force: true });
});

function addWorker(engine: ScriptedEngine): Promise<AsrWorker> {
  const env = { BATCH_JOBS_MAX: '4', BATCH_LOCK_S: '5', JOBS_DIR: folder, WORKER_DRAIN_S: '0' };
  return fleet.addWorker(engine, env);
}

async function submit(id: string, recording: Buffer): Promise<JobSpec> {
  const audioKey = `jobs/${id}`;
  const { signal } = new AbortController();
  await blobs.put(audioKey, toStream(recording), { maxBytes: 1e9, signal });
  const webhookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const options = JobOptions.parse({ webhookUrl });
  const own = { id, tenantId: 'acme', keyId: 'key', weight: 1 };
  const job = { ...own, options, audioKey, createdAtMs: Date.now() };
  expect(await store.create(job, { ofTenant: 0, ofAll: 0 })).toEqual({ kind: 'created' });
  await queue.add({ id, tenantId: 'acme', priority: 'normal', weight: 1 });
  return job;
}

async function* toStream(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function ended(id: string): Promise<JobRecord> {
  let record: JobRecord | undefined;
  await until(async () => {
    record = await store.get(id);
    return record?.endedAtMs !== undefined;
  }, `${id} has ended`);
  return record as JobRecord;
}

async function textOf(id: string): Promise<string> {
  const words = (await store.segments(id)).flatMap((segment) => segment.words);
  return words.map(({ text }) => text).join('');
}

describe('batch jobs', () => {
  it('gives way to a session, goes on from its last finished segment, and repeats nothing', async () => {
    const engine = new ScriptedEngine({ slots: 1 });
    const worker = await addWorker(engine);
    await fleet.ready();
    const spoken = range(1, 320);
    engine.stall(100 * 16_000);
    await submit('long', writeWav(speak(spoken), 16_000));
    await until(async () => (await store.segments('long')).length === 1, 'one piece is done');
    await until(() => engine.openStreams === 1, 'the next is under way');
    const client = await fleet.client();
    await until(() => engine.openStreams === 0, 'the piece was stopped');
    await until(async () => (await store.get('long'))?.state === 'queued', 'it is queued again');
    expect(await store.get('long')).toMatchObject({ attempts: 0 });
    engine.resume();
    client.terminate();
    expect(await ended('long')).toMatchObject({ state: 'completed', attempts: 1 });
    expect(await textOf('long')).toBe(transcript(spoken));
    await worker.close();
  });

  it('stops a job that is cancelled, fails what is no recording, and quarantines what always fails', async () => {
    const engine = new ScriptedEngine({ slots: 2 });
    const worker = await addWorker(engine);
    engine.stall();
    const job = await submit('cancelled', writeWav(speak([1, 2, 3]), 16_000));
    await until(() => engine.openStreams === 1, 'it is under way');
    expect(await store.end(job, 'cancelled', { nowMs: Date.now() })).toBe(true);
    await until(() => engine.openStreams === 0, 'it was stopped');
    engine.resume();
    await submit('noise', Buffer.from('this is no recording'));
    expect(await ended('noise')).toMatchObject({
      state: 'failed',
      error: { code: 'invalid_audio' },
    });
    const poison = { ...job, id: 'poison' };
    await store.create(poison, { ofTenant: 0, ofAll: 0 });
    for (const run of ['one', 'two', 'three']) await store.begin('poison', run, 0, 3);
    await queue.add({ id: 'poison', tenantId: 'acme', priority: 'normal', weight: 1 });
    expect(await ended('poison')).toMatchObject({ state: 'quarantined' });
    expect((await store.get('cancelled'))?.state).toBe('cancelled');
    await worker.close();
  });

  it('loses and repeats no word of 40 jobs, whichever workers are told to stop amid them', async () => {
    const spokenBy = (n: number) => range(n + 1, n + 6);
    for (let n = 0; n < 40; n += 1) await submit(`many-${n}`, writeWav(speak(spokenBy(n)), 16_000));
    const [first, second] = [new ScriptedEngine(), new ScriptedEngine()];
    first.stall(10 * 2.4 * 16_000);
    second.stall(10 * 2.4 * 16_000);
    const doomed = [await addWorker(first), await addWorker(second)];
    await until(() => first.openStreams > 0 && second.openStreams > 0, 'both work');
    await Promise.all(doomed.map((worker) => worker.close()));
    const last = await addWorker(new ScriptedEngine());
    for (let n = 0; n < 40; n += 1) {
      expect((await ended(`many-${n}`)).state).toBe('completed');
      expect(await textOf(`many-${n}`)).toBe(transcript(spokenBy(n)));
    }
    await last.close();
  });

  it('are told of once each, by whichever gateway, however they ended', async () => {
    const { jobs } = await store.list('acme', { limit: 100 });
    const ids = jobs.filter(({ endedAtMs }) => endedAtMs !== undefined).map(({ id }) => id);
    expect(new Set(jobs.map(({ state }) => state))).toEqual(
      new Set(['completed', 'cancelled', 'failed', 'quarantined']),
    );
    expect(ids.length).toBeGreaterThan(40);
    await until(() => told.size === ids.length, 'all are told of');
    expect(told).toEqual(new Map(ids.map((id) => [`evt_${id}`, 1])));
  });
});
