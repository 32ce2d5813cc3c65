import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_CAPACITY } from '@voice-fleet/asr-worker/capacity/capacity-loop';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { EngineRegistry } from '@voice-fleet/asr-worker/engines/registry';
import { WorkerMetrics } from '@voice-fleet/asr-worker/metrics';
import { type AsrWorker, startWorker } from '@voice-fleet/asr-worker/worker';
import {
  type Lease,
  type LeaseCheck,
  newLeaseToken,
  type TenantClaim,
} from '@voice-fleet/fleet/lease';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { parseEnv } from '@voice-fleet/runtime/env';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { range, speak } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';
import { LinkPeer, LinkWorker } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

const GRACE_MS = 2_000;
const DRAIN_MS = 20_000;
const TENANT: TenantClaim = {
  id: 't',
  maxSessions: 0,
  sessionsPerSecond: 0,
  weight: 1,
  priority: 'normal',
};

describe('the link port of a worker that drains', () => {
  let clock: FakeClock;
  let engine: ScriptedEngine;
  let worker: LinkWorker;
  let verify: () => Promise<LeaseCheck>;

  beforeEach(async () => {
    clock = new FakeClock();
    engine = new ScriptedEngine({ slots: 8 });
    verify = async () => 'valid';
    worker = await LinkWorker.start({ engine, clock, verify: () => verify() });
  });
  afterEach(() => worker[Symbol.asyncDispose]());

  /** Becomes true when the drain has settled. */
  function drain(timeoutMs = DRAIN_MS): { done: boolean; settled: Promise<void> } {
    const state = { done: false, settled: Promise.resolve() };
    state.settled = worker.server.drain(timeoutMs).then(() => {
      state.done = true;
    });
    return state;
  }

  async function speaking(session: string): Promise<LinkPeer> {
    const peer = await worker.linked(session);
    peer.start(1);
    peer.audio(speak([1, 2]));
    await peer.told('partial');
    return peer;
  }

  it('tells each link that its session should go on elsewhere, and serves them meanwhile', async () => {
    const [idle, busy] = [await worker.linked('idle'), await speaking('busy')];
    const drained = drain();
    await Promise.all([idle.told('draining'), busy.told('draining')]);
    busy.audio(speak([3]));
    busy.finish(1);
    await busy.told('final');
    // An utterance may also begin until it is over.
    idle.start(1);
    idle.audio(speak([7, 8]));
    idle.finish(1);
    await idle.told('final');
    expect([busy.words.length, idle.words.length]).toEqual([3, 2]);
    expect([worker.sessions(), drained.done]).toEqual([['idle', 'busy'], false]);
  });

  it('ends as soon as gateways have moved all sessions', async () => {
    const peers = [await worker.linked('idle'), await speaking('busy')];
    const drained = drain();
    for (const peer of peers) {
      await peer.told('draining');
      peer.socket.close();
    }
    await drained.settled;
    expect([engine.openStreams, worker.sessions()]).toEqual([0, []]);
  });

  it('ends at once where there is no link', async () => {
    await drain().settled;
    expect(clock.pending).toBe(0);
  });

  it('closes idle links after two seconds, and the others as their utterances end, each with its final', async () => {
    const idle = await worker.linked('idle');
    const [first, second] = [await speaking('first'), await speaking('second')];
    const drained = drain();
    clock.advance(GRACE_MS - 1);
    await idle.heard();
    expect(worker.sessions()).toEqual(['idle', 'first', 'second']);
    clock.advance(1);
    expect(await idle.closed).toBe(1012);
    expect(worker.sessions()).toEqual(['first', 'second']);
    first.finish(1);
    expect(await first.closed).toBe(1012);
    expect(first.events.at(-1)?.type).toBe('final');
    expect([worker.sessions(), drained.done]).toEqual([['second'], false]);
    second.send({ type: 'cancel', utterance: 1 });
    expect(await second.closed).toBe(1012);
    await drained.settled;
    expect(engine.openStreams).toBe(0);
  });

  it('begins no utterance on a link that was told to close', async () => {
    const peer = await speaking('a');
    peer.onEvent = ({ type }) => {
      if (type === 'final') peer.start(2);
    };
    const drained = drain();
    await peer.told('draining');
    clock.advance(GRACE_MS);
    await Promise.resolve();
    peer.finish(1);
    await drained.settled;
    expect(await peer.closed).toBe(1012);
    expect(peer.events.at(-1)?.type).toBe('final');
    expect(engine.streams).toHaveLength(1);
  });

  it('refuses a new link, and one whose lease is still being verified; it is kept by neither', async () => {
    let answer: (check: LeaseCheck) => void = () => undefined;
    verify = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const peer = await worker.dial();
    peer.hello('a');
    await peer.heard();
    await drain().settled;
    answer('valid');
    expect(await peer.closed).toBe(1000);
    expect(peer.events).toEqual([{ type: 'refused', reason: 'draining' }]);
    const late = await worker.dial();
    late.hello('b');
    expect(await late.closed).toBe(1000);
    expect(late.events).toEqual([{ type: 'refused', reason: 'draining' }]);
    expect(worker.sessions()).toEqual([]);
  });

  it('ends in its time however long an utterance lasts, and then ends that, too', async () => {
    const peer = await speaking('a');
    const drained = drain();
    await peer.told('draining');
    clock.advance(GRACE_MS);
    await peer.heard();
    clock.advance(DRAIN_MS - GRACE_MS - 1);
    await peer.heard();
    expect([drained.done, engine.openStreams]).toEqual([false, 1]);
    clock.advance(1);
    await drained.settled;
    worker.server.close();
    expect(engine.openStreams).toBe(0);
    expect(await peer.closed).toBe(1012);
  });
});

describe('a worker that is told to stop', () => {
  let redisServer: TestRedis;
  let redis: Redis;
  let store: LeaseStore;
  let engine: ScriptedEngine;
  let worker: AsrWorker;

  beforeEach(async () => {
    redisServer = await startRedis();
    redis = connectRedis(redisServer.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
    await untilReady(redis, AbortSignal.timeout(10_000));
    store = new LeaseStore(redis, { fleet: 'default' });
    engine = new ScriptedEngine();
  });
  afterEach(async () => {
    await worker.close();
    redis.disconnect();
    await redisServer.stop();
  });

  /** The worker with one session on it, which speaks. */
  async function serving(drainS: string): Promise<LinkPeer> {
    const env = {
      REDIS_URL: redisServer.url,
      WORKER_BIND_HOST: '127.0.0.1',
      INTERNAL_BIND_HOST: '127.0.0.1',
      WORKER_PORT: '0',
      INTERNAL_PORT: '0',
      WORKER_DRAIN_S: drainS,
    };
    const started = await startWorker(parseEnv(WorkerEnv, env), {
      engine,
      registry: new EngineRegistry([]),
      capacity: DEFAULT_CAPACITY,
      metrics: new WorkerMetrics(),
      log: createLogger('asr-worker', 'error', { write: () => undefined }),
    });
    let closed: Promise<void> | undefined;
    worker = {
      ...started,
      close: () => {
        closed ??= started.close();
        return closed;
      },
    };
    await until(async () => (await placed()) !== undefined, 'it is registered');
    const lease = await placed();
    if (lease === undefined) throw new Error('it was registered');
    const peer = await LinkPeer.open(worker.port);
    peer.hello(lease.token, { token: lease.token, epoch: lease.epoch, tenant: TENANT.id });
    await peer.told('ready');
    peer.start(1);
    peer.audio(speak(range(1, 3)));
    await peer.told('partial');
    return peer;
  }

  async function placed(token = 'the one that speaks'): Promise<Lease | undefined> {
    const placement = await store.acquire({ token, sessionId: token, tenant: TENANT });
    return placement.kind === 'granted' ? placement.lease : undefined;
  }

  it('says so at once, here and in Redis, and ends when its sessions have moved', async () => {
    const peer = await serving('20');
    const closed = worker.close();
    await peer.told('draining');
    await until(
      async () => (await placed(newLeaseToken())) === undefined,
      'it gets no more sessions',
    );
    expect(engine.openStreams).toBe(1);
    peer.socket.close();
    await closed;
    expect(engine.openStreams).toBe(0);
  });

  it('is gone after WORKER_DRAIN_S though nobody moved its session', async () => {
    const peer = await serving('0.3');
    const sinceMs = performance.now();
    const took = stopwatch();
    await worker.close();
    expect(performance.now() - sinceMs).toBeGreaterThan(290);
    expect(took()).toBeLessThan(3_000);
    expect(await peer.closed).toBe(1012);
    expect(peer.events.some(({ type }) => type === 'draining')).toBe(true);
  });
});
