import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { JobRequeue } from '@voice-fleet/gateway/jobs/job-requeue';
import { JobOptions } from '@voice-fleet/jobs/job';
import { newJobId } from '@voice-fleet/jobs/job-id';
import { JobQueue } from '@voice-fleet/jobs/job-queue';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { ENDED_KEY, recordKey, turnKey, UNQUEUED_KEY } from '@voice-fleet/jobs/keys';
import { verifyWebhook } from '@voice-fleet/jobs/webhooks/signature';
import type { JobView } from '@voice-fleet/protocol/jobs';
import { WebhookEvent } from '@voice-fleet/protocol/webhooks';
import { systemClock } from '@voice-fleet/runtime/clock';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Redis } from 'ioredis';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const ADMIN = 'operators-only';
const WORDS = range(1, 12);
const WAV = writeWav(speak(WORDS), 16_000);

let folder: string;
let fleet: Fleet;
let redis: Redis;
let files: Server;
let engine: ScriptedEngine;
let other: string;
/** Webhooks that came, each answered with `toldStatus`. */
const told: { headers: IncomingHttpHeaders; body: string }[] = [];
let toldStatus = 204;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-jobs-api-'));
  files = createServer((request, response) => {
    if (request.url === '/call.wav') response.end(WAV);
    else if (request.url === '/moved') response.writeHead(302, { location: '/call.wav' }).end();
    else if (request.url === '/large') response.end(Buffer.alloc(300_000));
    else if (request.url === '/told?token=7')
      void text(request).then((body) => {
        told.push({ headers: request.headers, body });
        response.writeHead(toldStatus).end();
      });
    else if (request.url === '/never') response.write('RIFF');
    else if (request.url === '/broken') response.write('RIFF', () => request.socket.destroy());
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  engine = new ScriptedEngine({ slots: 2 });
  fleet = await Fleet.start([engine], {
    ...{ JOBS_DIR: folder, BATCH_JOBS_MAX: '2', ADMIN_API_KEY: ADMIN },
    // Recordings are looked for and used again.
    JOBS_AUDIO_KEPT_H: '1',
    ...{ JOBS_MAX_BYTES: '250000', JOBS_TENANT_MAX: '6', JOBS_URL_TIMEOUT_S: '1' },
    JOBS_URL_ALLOW: `!127.0.0.1:${(files.address() as AddressInfo).port}`,
  });
  redis = new Redis(fleet.redis.url);
  other = await keyOfTenant('other');
});
afterAll(async () => {
  redis.disconnect();
  files.close();
  files.closeAllConnections();
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what JSON they get
  readonly body: any;
}

const url = (path: string, port = fleet.gateways[0]?.port): string =>
  `http://127.0.0.1:${port}${path}`;
const file = (path: string): string =>
  `http://127.0.0.1:${(files.address() as AddressInfo).port}${path}`;

async function ask(
  path: string,
  init: RequestInit = {},
  key = KEY,
  port = fleet.gateways[0]?.port,
): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) };
  const response = await fetch(url(path, port), { ...init, headers });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  };
}

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const init = { method: 'POST', body: JSON.stringify(body) };
  return ask(path, { ...init, headers: { 'content-type': 'application/json', ...headers } });
}

async function keyOfTenant(id: string, limits: object = {}): Promise<string> {
  const admin = { authorization: `Bearer ${ADMIN}` };
  await post('/admin/v1/tenants', { id, limits }, admin);
  const { body } = await post(`/admin/v1/tenants/${id}/keys`, { scopes: ['jobs'] }, admin);
  return (body as { secret: string }).secret;
}

function upload(
  fields: Record<string, string> = {},
  {
    name,
    key = KEY,
    recording = WAV,
    port,
  }: { name?: string; key?: string; recording?: Buffer; port?: number } = {},
): Promise<Answer> {
  const form = new FormData();
  form.set('file', new Blob([new Uint8Array(recording)]), 'call.wav');
  for (const [field, value] of Object.entries(fields)) form.set(field, value);
  const headers = name === undefined ? {} : { 'idempotency-key': name };
  return ask('/v1/jobs', { method: 'POST', body: form, headers }, key, port);
}

async function ended(id: string): Promise<JobView> {
  let job: JobView | undefined;
  await until(async () => {
    job = (await ask(`/v1/jobs/${id}`)).body as JobView;
    return job.ended_at_ms !== null;
  }, `${id} has ended`);
  return job as JobView;
}

const recordings = (): Promise<string[]> => readdir(join(folder, 'jobs'));

describe('batch jobs over HTTP', () => {
  it('take a recording, and give its transcript in every format', async () => {
    const { status, body } = await upload({ metadata: '{"call":"4711"}', language: 'en' });
    expect(status).toBe(202);
    expect(body).toMatchObject({ state: 'queued', progress: 0, metadata: { call: '4711' } });
    const { id } = body as JobView;
    expect(await ended(id)).toMatchObject({
      ...{ state: 'completed', progress: 1, attempts: 1, error: null },
      duration_s: speak(WORDS).length / 32_000,
    });
    const text = transcript(WORDS);
    const result = async (format: string): Promise<unknown> =>
      (await ask(`/v1/jobs/${id}/result?format=${format}`)).body;
    expect(await result('json')).toMatchObject({ text });
    expect(await result('text')).toBe(text);
    expect(await result('srt')).toMatch(/^1\n00:00:00,\d{3} --> /);
    expect(await result('vtt')).toMatch(/^WEBVTT\n/);
    const verbose = (await result('verbose_json')) as { words?: unknown[]; language: string };
    expect(verbose).toMatchObject({ text, language: 'english', segments: [{ id: 0 }] });
    expect((await ask(`/v1/jobs/${id}/result?format=pdf`)).status).toBe(400);
    expect((await ask('/v1/jobs')).body.data[0].id).toBe(id);
  });

  it('are their tenant’s alone', async () => {
    const { id } = (await upload()).body as JobView;
    for (const [path, method] of [
      ['', 'GET'],
      ['/result', 'GET'],
      ['/cancel', 'POST'],
      ['', 'DELETE'],
    ] as const) {
      const answer = await ask(`/v1/jobs/${id}${path}`, { method }, other);
      expect([answer.status, answer.body.error.code]).toEqual([404, 'job_not_found']);
    }
    expect((await ask('/v1/jobs', {}, other)).body).toMatchObject({ data: [] });
    expect((await ask('/v1/jobs', {}, 'wrong')).status).toBe(401);
    expect(await ended(id)).toMatchObject({ state: 'completed' });
  });

  it('are made once, however often their request is sent', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => upload({}, { name: 'once' })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 202]);
    const ids = answers.map(({ body }) => (body as JobView).id);
    expect(new Set(ids).size).toBe(1);
    const another = await upload({ language: 'de' }, { name: 'once' });
    expect([another.status, another.body.error.code]).toEqual([409, 'idempotency_conflict']);
    expect((await upload({}, { name: 'once', key: other })).status).toBe(202);
    await ended(ids[0] ?? '');
    await ask(`/v1/jobs/${ids[0]}`, { method: 'DELETE' });
    expect((await upload({}, { name: 'once' })).status).toBe(409);
    // One for the other tenant's; nothing is left of requests that made no job.
    expect((await recordings()).filter((name) => name >= (ids[0] ?? '')).length).toBeLessThan(2);
  });

  it('are fetched from URLs that the operator allows', async () => {
    const { body, status } = await post('/v1/jobs', { url: file('/moved') });
    expect(status).toBe(202);
    const { id } = body as JobView;
    await ended(id);
    expect((await ask(`/v1/jobs/${id}/result`)).body.text).toBe(transcript(WORDS));
    const refusals = [
      ['https://example.com/call.wav', 400, 'url_refused'],
      ['file:///etc/passwd', 400, 'url_refused'],
      [file('/none'), 400, 'url_failed'],
      [file('/never'), 400, 'url_failed'],
      [file('/broken'), 400, 'url_failed'],
      [file('/large'), 413, 'message_too_large'],
    ] as const;
    const answers = await Promise.all(refusals.map(([from]) => post('/v1/jobs', { url: from })));
    expect(answers.map((answer) => [answer.status, answer.body.error.code])).toEqual(
      refusals.map(([, refused, code]) => [refused, code]),
    );
  });

  it.each<[string, () => Promise<Answer>, number, string]>([
    ['an empty recording', () => upload({}, { recording: Buffer.alloc(0) }), 400, 'missing_audio'],
    [
      'a large one',
      () => upload({}, { recording: Buffer.alloc(300_000) }),
      413,
      'message_too_large',
    ],
    ['a model that is not served', () => upload({ model: 'none' }), 404, 'model_not_found'],
    ['a field that is not known', () => upload({ modle: 'x' }), 400, 'invalid_message'],
    [
      'a field that is cut off',
      () => upload({ metadata: `"${'x'.repeat(9000)}"` }),
      400,
      'invalid_message',
    ],
    ['metadata that is no object', () => upload({ metadata: '[1' }), 400, 'invalid_message'],
    [
      'a webhook where there are none',
      () => upload({ webhook_url: 'https://example.com' }),
      400,
      'invalid_message',
    ],
    ['a name that is none', () => upload({}, { name: 'a b' }), 400, 'invalid_message'],
    ['a body that is no object', () => post('/v1/jobs', []), 400, 'invalid_message'],
    ['a body without a URL', () => post('/v1/jobs', { language: 'en' }), 400, 'invalid_message'],
    [
      'a body of another kind',
      () => ask('/v1/jobs', { method: 'POST', body: 'hello' }),
      415,
      'unsupported_media_type',
    ],
    [
      'a form without a boundary',
      () => post('/v1/jobs', {}, { 'content-type': 'multipart/form-data' }),
      400,
      'invalid_message',
    ],
    ['a cursor that is none', () => ask('/v1/jobs?cursor=7'), 400, 'invalid_message'],
  ])('refuse %s, and keep nothing of it', async (_what, refused, status, code) => {
    const before = await recordings();
    const answer = await refused();
    expect([answer.status, answer.body.error.code]).toEqual([status, code]);
    expect(await recordings()).toEqual(before);
  });

  it('are not made for a tenant whose audio of the day is used up', async () => {
    const spent = await keyOfTenant('spent', { audio_minutes_per_day: 0.001 });
    const { id } = (await upload({}, { key: spent })).body as JobView;
    await until(
      async () => (await ask(`/v1/jobs/${id}`, {}, spent)).body.state === 'completed',
      'the first is done',
    );
    const answer = await upload({}, { key: spent });
    expect([answer.status, answer.body.error.code]).toEqual([429, 'audio_quota_exhausted']);
    expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });

  it('wait while no slot is idle, are bounded, and stop when they are told to', async () => {
    const clients = [await fleet.client(), await fleet.client()];
    const ids: string[] = [];
    for (let count = 0; count < 6; count += 1) ids.push(((await upload()).body as JobView).id);
    const refused = await upload();
    expect([refused.status, refused.body.error.code]).toEqual([429, 'too_many_jobs']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const [first = '', second = ''] = ids;
    expect((await ask(`/v1/jobs/${first}/result`)).body.error.code).toBe('job_not_finished');
    expect((await ask('/v1/jobs?limit=2&state=queued')).body).toMatchObject({
      data: [{ id: ids[5] }, { id: ids[4] }],
      next_cursor: ids[4],
    });
    const cancel = (): Promise<Answer> => ask(`/v1/jobs/${first}/cancel`, { method: 'POST' });
    expect((await cancel()).body).toMatchObject({ state: 'cancelled' });
    expect((await cancel()).body).toMatchObject({ state: 'cancelled' });
    expect((await ask(`/v1/jobs/${first}/result`)).body.error.code).toBe('job_without_result');
    expect((await ask(`/v1/jobs/${second}`, { method: 'DELETE' })).status).toBe(204);
    expect((await ask(`/v1/jobs/${second}`)).status).toBe(404);
    expect(await recordings()).not.toContain(second);
    expect(await fleet.metrics()).toMatch(/^voice_gateway_jobs_waiting 4$/m);
    for (const client of clients) client.terminate();
    for (const id of ids.slice(2)) expect(await ended(id)).toMatchObject({ state: 'completed' });
  });

  it('are kept while their recording cannot be deleted, and go when they are asked to again', async () => {
    const { id } = (await upload()).body as JobView;
    await ended(id);
    const path = join(folder, 'jobs', id);
    await rm(path);
    // What is there in its place cannot be deleted as a file.
    await mkdir(path);
    const remove = (): Promise<Answer> => ask(`/v1/jobs/${id}`, { method: 'DELETE' });
    const refused = await remove();
    expect([refused.status, refused.body.error.code]).toEqual([503, 'fleet_unavailable']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await ask(`/v1/jobs/${id}`)).status).toBe(200);
    await rmdir(path);
    expect((await remove()).status).toBe(204);
  });

  it('are not made of a recording whose sender goes away', async () => {
    const before = await recordings();
    const boundary = 'b0undary';
    const request = httpRequest(url('/v1/jobs'), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${KEY}`,
        'content-type': `multipart/form-data; boundary=${boundary}`,
      },
    });
    request.on('error', () => undefined);
    request.write(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n`,
    );
    request.write(WAV.subarray(0, 50_000));
    await until(async () => (await recordings()).length > before.length, 'it is being kept');
    request.destroy();
    await until(async () => (await recordings()).length === before.length, 'it is gone');
  });

  it('reach the queue though their gateway died before they did', async () => {
    const store = new JobStore(redis);
    const queue = new JobQueue(redis);
    const { id: source } = (await upload()).body as JobView;
    await ended(source);
    const audioKey = (await store.get(source))?.audioKey ?? '';
    const id = newJobId(Date.now());
    const own = { id, tenantId: 'default', keyId: 'k', weight: 1, createdAtMs: Date.now() };
    await store.create(
      { ...own, options: JobOptions.parse({}), audioKey },
      { ofTenant: 0, ofAll: 0 },
    );
    const later = { ...systemClock, wallNow: () => Date.now() + 60_000 };
    // One that cannot be read is told of, and keeps no other from the queue.
    await redis.hset(recordKey('job_0'), { spec: '{', state: 'queued', attempts: 0, done: 0 });
    await redis.zadd(UNQUEUED_KEY, 1, 'job_0');
    const faults: unknown[] = [];
    const onError = (error: unknown): unknown => faults.push(error);
    const requeues = [1, 2].map(() => new JobRequeue({ clock: later, store, queue, onError }));
    await Promise.all(requeues.map((requeue) => requeue.look()));
    expect(await ended(id)).toMatchObject({ state: 'completed', attempts: 1 });
    expect(await store.unqueued(Date.now() + 60_000, 9)).toEqual(['job_0']);
    expect(faults).toHaveLength(2);
    await redis.del(recordKey('job_0'));
    await queue.close();
  });
});

describe('batch jobs that are over', () => {
  it('are told of by a signed webhook, whose attempts can be looked at', async () => {
    const { port } = await fleet.addGateway({
      ...{ JOBS_DIR: folder, JOBS_AUDIO_KEPT_H: '1' },
      JOBS_WEBHOOK_SECRET: 'a-secret-of-the-fleet,the-one-before-it',
      JOBS_WEBHOOK_ALLOW: `!127.0.0.1:${(files.address() as AddressInfo).port}`,
    });
    const secrets = (await ask('/v1/webhooks/secrets', {}, KEY, port)).body.data as string[];
    expect(secrets).toHaveLength(2);
    const refused = async (): Promise<boolean> =>
      (await ask('/v1/webhooks/secrets', {}, other, port)).status === 403;
    // Once the new gateway has its Redis.
    await until(refused, 'a key without the scope is refused');
    toldStatus = 410;
    const { id } = (await upload({ webhook_url: file('/told?token=7') }, { port })).body as JobView;
    const webhook = `/v1/jobs/${id}/webhook`;
    const redeliver = (): Promise<Answer> =>
      ask(`${webhook}/redeliver`, { method: 'POST' }, KEY, port);
    const state = async (): Promise<string> => (await ask(webhook)).body.state as string;
    await until(async () => (await state()) === 'given_up', 'it is not wanted');
    toldStatus = 204;
    expect((await redeliver()).status).toBe(202);
    await until(async () => (await state()) === 'acknowledged', 'it is taken');
    expect((await redeliver()).body.error.code).toBe('webhook_not_given_up');
    expect((await ask(webhook)).body).toMatchObject({
      id: `evt_${id}`,
      attempts: 2,
      next_attempt_at_ms: null,
      deliveries: [
        { status: 410, fault: null, outcome: 'given_up' },
        { status: 204, fault: null, outcome: 'acknowledged' },
      ],
    });
    expect(told.map((one) => verifyWebhook(one, secrets.slice(1)))).toEqual(['valid', 'valid']);
    const event = WebhookEvent.parse(JSON.parse(told[1]?.body ?? ''));
    expect(event).toEqual({
      id: `evt_${id}`,
      type: 'job.completed',
      created_at: new Date(event.data.ended_at_ms ?? 0).toISOString(),
      data: (await ask(`/v1/jobs/${id}`)).body,
    });
    const { body } = await upload();
    const refusals = [
      [await ask(webhook, {}, other), 'job_not_found'],
      [await ask(`/v1/jobs/${(body as JobView).id}/webhook`), 'webhook_not_found'],
    ] as const;
    for (const [answer, code] of refusals)
      expect([answer.status, answer.body.error.code]).toEqual([404, code]);
  });

  it('lose their recordings when these were kept long enough', async () => {
    const { id } = (await upload()).body as JobView;
    await ended(id);
    expect(await recordings()).toContain(id);
    await redis.zadd(ENDED_KEY, Date.now() - 3_700_000, id);
    await redis.del(turnKey('sweep'));
    await until(async () => !(await recordings()).includes(id), 'it is gone');
    expect((await ask(`/v1/jobs/${id}/result`)).status).toBe(200);
  });
});
