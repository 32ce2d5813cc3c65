import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { jobView } from '@voice-fleet/gateway/jobs/job-view';
import {
  WebhookDispatcher,
  type WebhookSettings,
} from '@voice-fleet/gateway/webhooks/webhook-dispatcher';
import { WebhookMetrics } from '@voice-fleet/gateway/webhooks/webhook-metrics';
import { JobOptions, type JobRecord } from '@voice-fleet/jobs/job';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { UrlGuard } from '@voice-fleet/jobs/url-guard';
import { tenantSecret, verifyWebhook } from '@voice-fleet/jobs/webhooks/signature';
import { WebhookStore } from '@voice-fleet/jobs/webhooks/webhook-store';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { until } from '../support/until.ts';

const SECRETS = ['a-secret-of-the-fleet', 'the-one-before-it'];
/** By the fake clock, so nothing takes so long unless a test says so. */
const TIMEOUT_MS = 1_000_000;
const SETTINGS: WebhookSettings = {
  secrets: SECRETS,
  timeoutMs: TIMEOUT_MS,
  maxAttempts: 5,
  maxAgeMs: 3_600_000,
  maxAtOnce: 16,
  retryBaseMs: 5,
  retryCapMs: 20,
  tickMs: 1,
  leaseMarginMs: 60_000,
};

/** Where a gateway reaches the receiver that is killed later: nothing is answered there, so nothing it sent can have been acknowledged. */
const DOOMED = '127.0.0.2';

type Reply = number | 'reset' | 'hang' | 'redirect' | 'slow';
interface Heard {
  readonly tenantId: string;
  readonly body: string;
  readonly verdict: string;
}

/** Whoever is told: answers each attempt as `reply` says, and remembers all. */
class Receiver {
  reply: (job: string, attempt: number) => Reply = () => 200;
  readonly heard = new Map<string, Heard[]>();
  readonly acknowledged = new Map<string, number>();
  /** Requests that have no answer yet and get none. */
  readonly hanging = new Set<ServerResponse>();
  elsewhere = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  async start(): Promise<void> {
    this.#server.listen(0);
    await once(this.#server, 'listening');
  }

  get host(): string {
    return `receiver.test:${(this.#server.address() as AddressInfo).port}`;
  }

  forget(): void {
    this.reply = () => 200;
    this.heard.clear();
    this.acknowledged.clear();
    this.hanging.clear();
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, place = '', tenantId = '', job = ''] = (request.url ?? '').split('/');
    const body = await text(request);
    if (place === 'elsewhere') this.elsewhere += 1;
    const secrets = SECRETS.map((secret) => tenantSecret(secret, tenantId));
    const id = String(request.headers['webhook-id']);
    const nowMs = new FakeClock().wallNow();
    const verdict = verifyWebhook({ headers: request.headers, body }, secrets.slice(1), { nowMs });
    const before = this.heard.get(id) ?? [];
    this.heard.set(id, [...before, { tenantId, body, verdict }]);
    const doomed = request.socket.localAddress?.endsWith(DOOMED) === true;
    const reply = doomed ? 'hang' : this.reply(job, before.length + 1);
    switch (reply) {
      case 'reset':
        return void request.socket.destroy();
      case 'hang':
        this.hanging.add(response);
        return void response.once('close', () => this.hanging.delete(response));
      case 'redirect':
        return void response.writeHead(307, { location: '/elsewhere/x/y' }).end();
      case 'slow':
        return void setTimeout(() => this.#finish(id, response, 204), 20);
      default:
        return this.#finish(id, response, reply);
    }
  }

  #finish(id: string, response: ServerResponse, status: number): void {
    // An answer that is long, too: it is not read to its end.
    response.writeHead(status).end(status === 500 ? Buffer.alloc(100_000) : undefined);
    if (status < 300) this.acknowledged.set(id, (this.acknowledged.get(id) ?? 0) + 1);
  }
}

let server: TestRedis;
let redis: Redis;
let jobs: JobStore;
let store: WebhookStore;
const receiver = new Receiver();
const open: { dispatcher: WebhookDispatcher; clock: FakeClock }[] = [];

async function connect(): Promise<Redis> {
  const connection = connectRedis(server.url, { onError: () => undefined });
  await untilReady(connection, AbortSignal.timeout(10_000));
  return connection;
}

beforeAll(async () => {
  [server] = await Promise.all([startRedis(), receiver.start()]);
  redis = await connect();
});
beforeEach(async () => {
  await redis.flushall();
  receiver.forget();
  jobs = new JobStore(redis);
  store = new WebhookStore(redis);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ dispatcher }) => dispatcher.close(0)));
});
afterAll(async () => {
  redis.disconnect();
  await Promise.all([server.stop(), receiver.close()]);
});

function dispatch(
  over: Partial<WebhookSettings> = {},
  { connection = redis, allow = [`!${receiver.host}`], address = '127.0.0.1' } = {},
): { dispatcher: WebhookDispatcher; clock: FakeClock } {
  const clock = new FakeClock();
  const dispatcher = new WebhookDispatcher({
    clock,
    jobs: new JobStore(connection),
    store: new WebhookStore(connection),
    guard: new UrlGuard({ allow, resolve: async () => [{ address }] }),
    settings: { ...SETTINGS, ...over },
    view: jobView,
    metrics: new WebhookMetrics([new Registry()]),
    log: createLogger('test', 'error', { write: () => undefined }),
  });
  dispatcher.start();
  const one = { dispatcher, clock };
  open.push(one);
  return one;
}

/** Turns the clocks of all dispatchers a little each time that it looks. */
function soon(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  return until(() => {
    for (const { clock } of open) clock.advance(1);
    return condition();
  }, what);
}

async function endedJob(
  id: string,
  tenantId = 'acme',
  state: 'completed' | 'failed' = 'completed',
  webhookUrl = `http://${receiver.host}/told/${tenantId}/${id}?token=1`,
): Promise<void> {
  const own = { id, tenantId, keyId: 'k', audioKey: `jobs/${id}`, weight: 1, createdAtMs: 1 };
  const options = JobOptions.parse({ webhookUrl });
  await jobs.create({ ...own, options }, { ofTenant: 0, ofAll: 0 });
  await jobs.end(own, state, { nowMs: 1_700_000_000_000 });
}

const theJob = async (id: string): Promise<JobRecord> => (await jobs.get(id)) as JobRecord;
const stateOf = async (id: string): Promise<string> => (await store.state(id)).state;

describe('webhooks', () => {
  it('of 200 jobs are acknowledged once each, whatever receivers do, by gateways that race and after one was killed', async () => {
    const ids = Array.from({ length: 200 }, (_, at) => `job_${at}`);
    await Promise.all(ids.map((id, at) => endedJob(id, `tenant${at % 5}`)));
    const connection = await connect();
    const short = { timeoutMs: 200, leaseMarginMs: 800 };
    const killed = dispatch(short, { connection, address: DOOMED });
    await until(() => {
      // It is killed before it would have waited long enough for an answer.
      if (killed.clock.now() < 100) killed.clock.advance(1);
      return receiver.hanging.size > 3;
    }, 'some are under way');
    open.splice(0);
    const faults: readonly Reply[] = [500, 'reset', 'redirect', 'slow', 503, 200];
    receiver.reply = (job, attempt) => {
      const at = Number(job.slice(4));
      return attempt > 3 ? 200 : (faults[(at + attempt) % faults.length] ?? 200);
    };
    dispatch();
    dispatch();
    await soon(() => receiver.acknowledged.size > 50, 'the others are amid it');
    connection.disconnect();
    await killed.dispatcher.close(0);
    await soon(() => receiver.acknowledged.size === 200, 'all are told');
    await soon(async () => (await store.take(NOTHING)).waiting === 0, 'all is written down');

    expect(new Set(receiver.acknowledged.values())).toEqual(new Set([1]));
    expect(receiver.elsewhere).toBe(0);
    for (const heard of receiver.heard.values()) {
      // The same bytes each time, and signed by the older secret as well.
      expect(new Set(heard.map(({ body }) => body)).size).toBe(1);
      expect(new Set(heard.map(({ verdict }) => verdict))).toEqual(new Set(['valid']));
    }
    const [{ body = '' } = {}] = receiver.heard.get('evt_job_7') ?? [];
    expect(JSON.parse(body)).toEqual({
      id: 'evt_job_7',
      type: 'job.completed',
      created_at: '2023-11-14T22:13:20.000Z',
      data: jobView(await theJob('job_7')),
    });
    expect(await stateOf('job_7')).toBe('acknowledged');
  });

  it('whose answer was lost with their gateway are sent again, the very same', async () => {
    receiver.reply = (_job, attempt) => (attempt === 1 ? 'hang' : 200);
    await endedJob('j1');
    const connection = await connect();
    const lost = dispatch({ timeoutMs: 400, leaseMarginMs: 100 }, { connection });
    await until(() => {
      if (lost.clock.now() < 100) lost.clock.advance(1);
      return receiver.hanging.size === 1;
    }, 'it is under way');
    connection.disconnect();
    for (const response of receiver.hanging) response.writeHead(200).end();
    await until(() => receiver.hanging.size === 0, 'it was answered');
    await lost.dispatcher.close(0);
    open.splice(0);
    expect(await stateOf('j1')).toBe('waiting');
    dispatch();
    await soon(async () => (await stateOf('j1')) === 'acknowledged', 'it is told');
    const [first, second, ...others] = receiver.heard.get('evt_j1') ?? [];
    expect([second, others]).toEqual([first, []]);
  });

  it('that find no answer are sent again', async () => {
    receiver.reply = (_job, attempt) => (attempt === 1 ? 'hang' : 200);
    await endedJob('j1');
    const { clock } = dispatch();
    await soon(() => receiver.hanging.size === 1, 'it is under way');
    receiver.hanging.clear();
    clock.advance(TIMEOUT_MS);
    await soon(async () => (await stateOf('j1')) === 'acknowledged', 'it is told');
    expect((await store.state('j1')).deliveries).toMatchObject([
      { fault: 'timeout', outcome: 'retried' },
      { status: 200, outcome: 'acknowledged' },
    ]);
  });

  it('are given up at once where they are not wanted, and sent once more when somebody asks', async () => {
    receiver.reply = () => 410;
    await endedJob('j1', 'acme', 'failed');
    dispatch();
    await soon(async () => (await stateOf('j1')) === 'given_up', 'it is given up');
    expect(await store.state('j1')).toMatchObject({
      attempts: 1,
      deliveries: [{ status: 410, outcome: 'given_up' }],
    });
    receiver.reply = (_job, attempt) => (attempt < 3 ? 500 : 200);
    expect(await store.redeliver('j1')).toBe('asked');
    await soon(async () => (await store.state('j1')).deliveries.length === 2, 'it is tried');
    // Once means once.
    expect(await stateOf('j1')).toBe('given_up');
    expect(await store.redeliver('j1')).toBe('asked');
    await soon(async () => (await stateOf('j1')) === 'acknowledged', 'it is taken');
    expect(await store.redeliver('j1')).toBe('acknowledged');
    expect(receiver.heard.get('evt_j1')).toHaveLength(3);
    expect(JSON.parse(receiver.heard.get('evt_j1')?.[2]?.body ?? '')).toMatchObject({
      type: 'job.failed',
    });
  });

  it('are tried as often as they may be, and remember what went wrong', async () => {
    const replies: readonly Reply[] = [500, 'reset', 'redirect', 429];
    receiver.reply = (_job, attempt) => replies[attempt - 1] ?? 500;
    await endedJob('j1');
    dispatch();
    await soon(async () => (await stateOf('j1')) === 'given_up', 'it is given up');
    const { attempts, deliveries } = await store.state('j1');
    expect(attempts).toBe(5);
    expect(deliveries.map(({ status, fault }) => status ?? fault)).toEqual([
      ...[500, 'ECONNRESET', 307, 429, 500],
    ]);
  });

  it('of one slow receiver leave room for those of others', async () => {
    receiver.reply = (job) => (job.startsWith('slow') ? 'hang' : 200);
    // More than are looked at in one step, and before those of the other.
    await Promise.all(Array.from({ length: 250 }, (_, at) => endedJob(`slow${at}`, 'slow')));
    for (let at = 0; at < 20; at += 1) await endedJob(`z-quick${at}`, 'quick');
    expect(await store.take({ ...NOTHING, limit: 1, leaseMs: 60_000 })).toMatchObject({
      ...{ jobs: [{ tenantId: 'slow' }], more: true, waiting: 270 },
    });
    dispatch({ maxAtOnce: 8 });
    await soon(() => receiver.acknowledged.size === 20, 'those of the other are told');
    await soon(() => receiver.hanging.size === 2, 'two are under way');
    expect(receiver.heard.size).toBe(22);
  });

  it('are sent neither into private networks nor of jobs that were deleted', async () => {
    await endedJob('private', 'acme', 'completed', 'https://10.1.2.3/secret');
    await endedJob('plain', 'acme', 'completed', 'http://example.com/');
    await endedJob('deleted');
    await jobs.delete({ id: 'deleted', tenantId: 'acme' });
    dispatch({ maxAttempts: 1 }, { allow: ['*', `!${receiver.host}`] });
    for (const id of ['private', 'plain']) {
      await soon(async () => (await stateOf(id)) === 'given_up', `${id} is given up`);
      expect((await store.state(id)).deliveries).toMatchObject([{ fault: 'url_refused' }]);
    }
    expect(receiver.heard.size).toBe(0);
    expect((await store.take(NOTHING)).waiting).toBe(0);
  });

  it('that a gateway has to let go of when it stops are sent by another', async () => {
    receiver.reply = (_job, attempt) => (attempt === 1 ? 'hang' : 200);
    await endedJob('j1');
    const { dispatcher } = dispatch({ maxAttempts: 1 });
    await soon(() => receiver.hanging.size === 1, 'it is under way');
    await dispatcher.close(0);
    open.splice(0);
    expect(await store.state('j1')).toMatchObject({ state: 'waiting', attempts: 0 });
    dispatch({ maxAttempts: 1 });
    await soon(async () => (await stateOf('j1')) === 'acknowledged', 'it is told');
  });
});

const NOTHING = { token: 'none', leaseMs: 1, limit: 0, share: 1, underWay: new Map() };

describe('the store of webhooks', () => {
  const take = { leaseMs: 1, limit: 9, share: 9, underWay: new Map<string, number>() };
  const how = { retryMs: 0, maxAgeMs: 9e9, delivery: { atMs: 1, ms: 1, status: 200 } };
  const first = { body: 'first', maxAttempts: 9 };

  /** With a lease that has ended by the time that another one asks. */
  async function takenTwice(): Promise<void> {
    await endedJob('j1');
    expect((await store.take({ ...take, token: 'a' })).jobs).toEqual([
      { id: 'j1', tenantId: 'acme' },
    ]);
    expect(await store.begin('j1', { token: 'a', leaseMs: 1 }, first)).toEqual({
      ...{ kind: 'send', body: 'first', attempt: 1 },
    });
    await until(async () => {
      const { jobs: taken } = await store.take({ ...take, leaseMs: 60_000, token: 'b' });
      return taken.length === 1;
    }, 'the lease has ended');
  }

  it('counts an acknowledgement whoever brings it, once, and lets nobody send after it', async () => {
    await takenTwice();
    expect(await store.settle('j1', 'a', 'acknowledged', how)).toBe('acknowledged');
    const lease = { token: 'b', leaseMs: 60_000 };
    expect(await store.begin('j1', lease, { ...first, body: 'other' })).toEqual({
      kind: 'acknowledged',
    });
    expect(await store.settle('j1', 'b', 'acknowledged', how)).toBe('repeated');
    expect(await store.settle('j1', 'b', 'failed', how)).toBe('lost');
    expect(await store.take({ ...take, token: 'c' })).toMatchObject({ jobs: [], waiting: 0 });
  });

  it('hears nothing else of a gateway whose lease has ended', async () => {
    await takenTwice();
    expect(await store.begin('j1', { token: 'a', leaseMs: 1 }, first)).toEqual({ kind: 'lost' });
    expect(await store.settle('j1', 'a', 'refused', how)).toBe('lost');
    const lease = { token: 'b', leaseMs: 60_000 };
    const second = await store.begin('j1', lease, { ...first, body: 'other' });
    expect(second).toEqual({ kind: 'send', body: 'first', attempt: 2 });
    expect(await store.settle('j1', 'b', 'failed', how)).toBe('retried');
    expect((await store.state('j1')).deliveries.map(({ outcome }) => outcome)).toEqual([
      'lost',
      'retried',
    ]);
  });

  it('gives up what took down as many gateways as there may be attempts', async () => {
    await endedJob('j1');
    for (const token of ['a', 'b', 'c']) {
      await until(async () => {
        const { jobs: taken } = await store.take({ ...take, leaseMs: 1, token });
        return taken.length === 1;
      }, 'it is there again');
      const opened = await store.begin('j1', { token, leaseMs: 1 }, { ...first, maxAttempts: 2 });
      expect(opened.kind).toBe(token === 'c' ? 'exhausted' : 'send');
    }
    expect(await stateOf('j1')).toBe('given_up');
  });
});
