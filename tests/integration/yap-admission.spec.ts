import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import type { Redis } from 'ioredis';
import { type WebSocket, WebSocketServer } from 'ws';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

async function leased(fleet: Fleet): Promise<unknown> {
  return (await fleet.get('/readyz')).body['leased'];
}

describe('a client that goes away', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 1 });
    fleet = await Fleet.start([engine]);
  });
  afterEach(() => engine.resume());
  afterAll(() => fleet[Symbol.asyncDispose]());

  it.each(['decoding', 'stalled'])(
    'in the middle of an utterance frees its slot and its engine stream, the engine %s',
    async (state) => {
      const client = await fleet.client();
      client.start('a');
      client.append('a', speak([1]));
      await client.next('token');
      if (state === 'stalled') engine.stall();
      client.append('a', speak(range(2, 5)));
      await client.settled();
      expect(await leased(fleet)).toBe(1);
      client.terminate();
      await until(async () => (await leased(fleet)) === 0, 'the slot is free');
      await until(() => engine.openStreams === 0, 'the stream is ended');
      engine.resume();
      const next = await fleet.client();
      next.say('b', speak([7, 8]));
      expect((await next.next('final')).payload.normalized_text).toBe(transcript([7, 8]));
      next.terminate();
      await until(async () => (await leased(fleet)) === 0, 'the slot is free again');
    },
  );

  it('while Redis does not answer takes no slot when it does again', async () => {
    fleet.redis.freeze();
    const client = fleet.dial();
    await once(client.socket, 'open');
    client.terminate();
    fleet.redis.thaw();
    await until(
      async () => (await fleet.metrics()).includes('outcome="abandoned"} 1'),
      'the admission has ended',
    );
    await until(async () => (await leased(fleet)) === 0, 'the slot is free');
    const next = await fleet.client();
    next.terminate();
  });
});

describe('admission by a worker that takes its time', () => {
  let fleet: Fleet;
  let redis: Redis;
  let links: WebSocketServer;
  /** Sockets of sessions that wait for the worker, each with its hello. */
  let waiting: { socket: WebSocket; epoch: number }[];

  beforeEach(async () => {
    // Long enough that only the client's leaving can end an admission here.
    fleet = await Fleet.start([], { LINK_DIAL_TIMEOUT_S: '60' });
    const http = createServer().listen(0, '127.0.0.1');
    await once(http, 'listening');
    links = new WebSocketServer({ server: http });
    waiting = [];
    links.on('connection', (socket: WebSocket) => {
      socket.once('message', (data: Buffer) => {
        const { lease } = JSON.parse(data.toString()) as { lease: { epoch: number } };
        waiting.push({ socket, epoch: lease.epoch });
      });
    });
    redis = connectRedis(fleet.redis.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
    await untilReady(redis, AbortSignal.timeout(5_000));
    await new WorkerRegistry(redis, { fleet: 'default', beatTtlMs: 60_000 }).register(
      {
        workerId: 'slow',
        address: `127.0.0.1:${(http.address() as AddressInfo).port}`,
        model: 'm',
        engine: 'none',
        slots: 1,
        state: 'ready',
      },
      [],
    );
  });
  afterEach(async () => {
    for (const { socket } of waiting) socket.terminate();
    links.options.server?.close();
    redis.disconnect();
    await fleet[Symbol.asyncDispose]();
  });

  it.each([0, 3])(
    'frees the slot at once when the client goes away meanwhile, having sent %i frames',
    async (frames) => {
      const client = fleet.dial();
      await once(client.socket, 'open');
      if (frames > 0) client.send('ping', 'early');
      await until(() => waiting.length === 1, 'the worker is asked');
      for (let frame = 1; frame < frames; frame += 1) client.send('ping', 'early');
      expect(await leased(fleet)).toBe(1);
      client.terminate();
      await until(async () => (await leased(fleet)) === 0, 'the slot is free');
      await until(() => waiting[0]?.socket.readyState === 3, 'the worker is left alone');
      expect(await fleet.metrics()).toMatch(/admissions_total\{.*outcome="abandoned"\} 1/);
    },
  );

  it.each([
    [2_000, 1],
    [250, 250],
  ])(
    'answers %i early frames with ids of %i characters afterwards, in order',
    async (frames, size) => {
      const client = fleet.dial();
      await once(client.socket, 'open');
      const ids = range(1, frames).map((number) => `${number}-${'x'.repeat(size)}`);
      for (const id of ids) client.send('ping', id);
      await until(() => waiting.length === 1, 'the worker is asked');
      expect(client.received).toEqual([]);
      const [link] = waiting;
      link?.socket.send(JSON.stringify({ type: 'ready', epoch: link.epoch, model: 'm' }));
      await client.settled();
      expect(client.received[0]?.type).toBe('session.created');
      expect(client.received.slice(1, -1).map((frame) => frame.request_id)).toEqual(ids);
    },
  );
});
