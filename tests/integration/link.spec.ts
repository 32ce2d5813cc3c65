import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Lease, newLeaseToken, type TenantClaim } from '@voice-fleet/fleet/lease';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { LINK_VERSION } from '@voice-fleet/protocol/link';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import type { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import { Fleet } from '../support/fleet.ts';
import { LinkPeer } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const TENANT: TenantClaim = {
  id: 't',
  maxSessions: 0,
  sessionsPerSecond: 0,
  weight: 1,
  priority: 'normal',
};

describe('the link port of a worker', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;
  let redis: Redis;
  let store: LeaseStore;
  /** A session under way during every attack. */
  let victim: YapSocket;
  let victimSession: string;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 4 });
    fleet = await Fleet.start([engine]);
    redis = connectRedis(fleet.redis.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
    await untilReady(redis, AbortSignal.timeout(10_000));
    store = new LeaseStore(redis, { fleet: 'default', claimTtlMs: 10_000 });
  });
  afterAll(async () => {
    redis.disconnect();
    await fleet[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    victim = fleet.dial();
    victimSession = (await victim.next('session.created')).payload.id;
    victim.start('v');
    victim.append('v', speak(range(1, 3)));
    await victim.next('token');
  });
  afterEach(async () => {
    victim.append('v', speak(range(4, 6)));
    victim.finalize('v');
    expect((await victim.next('final')).payload.normalized_text).toBe(transcript(range(1, 6)));
    victim.send('end', 'bye');
    await victim.closed;
    await until(async () => (await slotsUsed()) === 0, 'no link is left');
    await until(() => engine.openStreams === 0, 'no stream is left open');
  });

  const dial = (): Promise<LinkPeer> => LinkPeer.open(fleet.workers[0]?.port ?? 0);

  /** Says hello with what is known of a lease; the session is that of `takeLease`. */
  function hello(peer: LinkPeer, lease: Pick<Lease, 'token' | 'epoch'>, session = 'raw'): void {
    peer.hello(session, { token: lease.token, epoch: lease.epoch, tenant: TENANT.id });
  }

  async function expectRefusal(peer: LinkPeer, reason: string): Promise<void> {
    expect(await peer.closed).toBe(1000);
    expect(peer.events).toEqual([{ type: 'refused', reason }]);
  }

  async function slotsUsed(): Promise<number> {
    const port = fleet.workers[0]?.internalPort;
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^voice_worker_slots_used\{.*\} (\d+)$/m.exec(text)?.[1]);
  }

  async function takeLease(sessionId = 'raw'): Promise<Lease> {
    const placement = await store.acquire({ token: newLeaseToken(), sessionId, tenant: TENANT });
    if (placement.kind === 'refused') throw new Error(placement.reason);
    return placement.lease;
  }

  async function linked(): Promise<{ peer: LinkPeer; lease: Lease }> {
    const lease = await takeLease();
    const peer = await dial();
    hello(peer, lease);
    await until(() => peer.events.length > 0, 'it answers');
    expect(peer.events).toEqual([{ type: 'ready', epoch: lease.epoch, model: engine.model }]);
    return { peer, lease };
  }

  it('transcribes for a peer with a lease in force', async () => {
    const { peer, lease } = await linked();
    peer.send({ type: 'start', utterance: 1, fromSample: 0 });
    peer.socket.send(speak([1, 2]));
    peer.send({ type: 'finish', utterance: 1 });
    await until(() => peer.events.some(({ type }) => type === 'final'), 'the final');
    peer.socket.close();
    await peer.closed;
    await store.release(lease);
  });

  it.each([
    ['text that is no JSON', 'hello?'],
    ['another message first', JSON.stringify({ type: 'finish', utterance: 1 })],
    ['a binary frame first', silence(80)],
    ['an empty object', '{}'],
  ])('refuses %s with bad_hello', async (_what, frame) => {
    const peer = await dial();
    peer.socket.send(frame);
    await expectRefusal(peer, 'bad_hello');
  });

  it('refuses a hello of another version', async () => {
    const lease = await takeLease();
    const peer = await dial();
    peer.send({
      type: 'hello',
      version: LINK_VERSION - 1,
      session: 'raw',
      lease: { token: lease.token, epoch: lease.epoch, tenant: TENANT.id },
    });
    await expectRefusal(peer, 'bad_hello');
    await store.release(lease);
  });

  it('hangs up on a peer that says nothing, and holds no slot for it', async () => {
    const peer = await dial();
    expect(await slotsUsed()).toBe(1);
    expect(await peer.closed).toBe(1006);
    expect(peer.events).toEqual([]);
  });

  it('refuses a token that nobody was granted', async () => {
    const peer = await dial();
    hello(peer, { token: newLeaseToken(), epoch: 1 });
    await expectRefusal(peer, 'lease_unknown');
  });

  it('refuses a forged token even when it names the session of another and a far higher epoch', async () => {
    const peer = await dial();
    hello(peer, { token: newLeaseToken(), epoch: 1_000_000 }, victimSession);
    await expectRefusal(peer, 'lease_unknown');
  });

  it.each([-1, 1])('refuses a lease with an epoch that is off by %d', async (by) => {
    await store.release(await takeLease());
    const lease = await takeLease();
    const peer = await dial();
    hello(peer, { ...lease, epoch: lease.epoch + by });
    await expectRefusal(peer, 'stale_epoch');
    await store.release(lease);
  });

  it('refuses a lease in force under the name of another session, and leaves that one alone', async () => {
    const lease = await takeLease();
    const peer = await dial();
    hello(peer, lease, victimSession);
    await expectRefusal(peer, 'lease_unknown');
    await store.release(lease);
  });

  it('refuses a lease in force under the name of another tenant', async () => {
    const lease = await takeLease();
    const peer = await dial();
    peer.hello('raw', { token: lease.token, epoch: lease.epoch, tenant: 'another' });
    await expectRefusal(peer, 'lease_unknown');
    await store.release(lease);
  });

  it('refuses a lease that has been given back', async () => {
    const lease = await takeLease();
    await store.release(lease);
    const peer = await dial();
    hello(peer, lease);
    await expectRefusal(peer, 'lease_unknown');
  });

  it('refuses a second link under one lease, and leaves the first alone', async () => {
    const { peer, lease } = await linked();
    const second = await dial();
    hello(second, lease);
    await expectRefusal(second, 'stale_epoch');
    expect(await slotsUsed()).toBe(2);
    peer.socket.close();
    await peer.closed;
    await store.release(lease);
  });

  it('replaces the old link of a session that comes back under a newer lease', async () => {
    const { peer, lease } = await linked();
    const newer = await takeLease();
    const again = await dial();
    hello(again, newer);
    expect(await peer.closed).toBe(1006);
    await until(() => again.events.length > 0, 'it answers');
    expect(again.events[0]?.type).toBe('ready');
    expect(await slotsUsed()).toBe(2);
    again.socket.close();
    await again.closed;
    await Promise.all([store.release(lease), store.release(newer)]);
  });

  it('closes on audio that comes before ready', async () => {
    const lease = await takeLease();
    const peer = await dial();
    hello(peer, lease);
    peer.socket.send(silence(80));
    expect(await peer.closed).toBe(1002);
    await store.release(lease);
  });

  it.each([
    ['text that is no JSON', 'garbage'],
    ['an unknown command', '{"type":"explode"}'],
    [
      'a second hello',
      '{"type":"hello","version":3,"session":"x","lease":{"token":"x","epoch":1,"tenant":"t"}}',
    ],
    ['an utterance number below one', '{"type":"start","utterance":0,"fromSample":0}'],
    ['half a sample', Buffer.alloc(3)],
  ])('closes only the link on which %s comes after ready', async (_what, frame) => {
    const { peer, lease } = await linked();
    peer.send({ type: 'start', utterance: 1, fromSample: 0 });
    peer.socket.send(speak([1]));
    peer.socket.send(frame);
    expect(await peer.closed).toBe(1002);
    await store.release(lease);
  });

  it('takes a frame of 32 MiB, and closes with 1009 on a larger one', async () => {
    const { peer, lease } = await linked();
    peer.send({ type: 'start', utterance: 1, fromSample: 0 });
    peer.socket.send(Buffer.alloc(32 * 1024 * 1024));
    await until(
      () => peer.events.some((event) => event.type === 'ack' && event.frames === 2),
      'it was taken',
    );
    peer.socket.send(Buffer.alloc(32 * 1024 * 1024 + 2));
    expect(await peer.closed).toBe(1009);
    await store.release(lease);
  });

  it('answers any other path with 404', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${fleet.workers[0]?.port}/other`);
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toContain('404');
  });
});
