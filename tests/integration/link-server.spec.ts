import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LinkServer } from '@voice-fleet/asr-worker/link/link-server';
import { WorkerMetrics } from '@voice-fleet/asr-worker/metrics';
import type { LeaseCheck } from '@voice-fleet/fleet/lease';
import type { ServedLease } from '@voice-fleet/fleet/worker';
import { LINK_PATH, LinkEvent } from '@voice-fleet/protocol/link';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { speak } from '@voice-fleet/testkit/coded-speech';
import { WebSocket } from 'ws';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const SECRET = 'what-a-peer-has-sent';

/** A gateway's end of a link. */
class Peer {
  readonly socket: WebSocket;
  readonly events: LinkEvent[] = [];
  readonly closed: Promise<number>;
  onEvent: (event: LinkEvent) => void = () => undefined;
  #waiter: () => void = () => undefined;

  constructor(port: number) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${LINK_PATH}`);
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) => {
      const event = LinkEvent.parse(JSON.parse(data.toString()));
      this.events.push(event);
      this.onEvent(event);
      this.#waiter();
    });
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  hello(session: string, padding = ''): void {
    const lease = { token: `token of ${session}`, epoch: 1 };
    this.send(padding + JSON.stringify({ type: 'hello', version: 1, session, lease }));
  }

  begin(utterance: number): void {
    this.send({ type: 'start', utterance, fromSample: 0 });
    this.socket.send(speak([1, 2]));
  }

  async told(type: LinkEvent['type']): Promise<void> {
    while (!this.events.some((event) => event.type === type))
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
  }

  /** All that was sent so far has been handled when the pong is back. */
  async heard(): Promise<void> {
    this.socket.ping();
    await once(this.socket, 'pong');
  }
}

describe('LinkServer', () => {
  let http: Server;
  let engine: ScriptedEngine;
  let metrics: WorkerMetrics;
  let server: LinkServer;
  let logged: string[];
  let verify: (lease: ServedLease) => Promise<LeaseCheck>;

  beforeEach(async () => {
    engine = new ScriptedEngine();
    metrics = new WorkerMetrics();
    logged = [];
    verify = async () => 'valid';
    http = createServer().listen(0, '127.0.0.1');
    await once(http, 'listening');
    const endless = Number.POSITIVE_INFINITY;
    const settings = {
      plan: { segmentSamples: endless, pauseFromSamples: endless, overlapSamples: 0 },
      maxBacklogSamples: 0,
      finishTimeoutMs: 5_000,
      quietTimeoutMs: 60_000,
      recovery: { maxAttempts: 0, overlapSamples: 0, replaySamples: 0 },
    };
    server = new LinkServer(http, {
      clock,
      session: { engine, clock, settings, metrics },
      metrics,
      slots: () => engine.slots,
      engineReady: () => true,
      verify: (lease) => verify(lease),
      heartbeatMs: 60_000,
      log: createLogger('asr-worker', 'debug', { write: (line) => void logged.push(line) }),
    });
  });
  afterEach(async () => {
    server.close();
    const closed = once(http, 'close');
    http.close();
    await closed;
  });

  async function dial(): Promise<Peer> {
    const peer = new Peer((http.address() as AddressInfo).port);
    await once(peer.socket, 'open');
    return peer;
  }

  async function linked(session: string): Promise<Peer> {
    const peer = await dial();
    peer.hello(session);
    await peer.told('ready');
    return peer;
  }

  async function speaking(session: string): Promise<Peer> {
    const peer = await linked(session);
    peer.begin(1);
    await peer.told('partial');
    return peer;
  }

  const refused = async (reason: string): Promise<number> => {
    const { values } = await metrics.linksRefused.get();
    return values.find(({ labels }) => labels['reason'] === reason)?.value ?? 0;
  };
  const sessions = (): string[] => server.leases().map(({ sessionId }) => sessionId);
  const lines = (event: string): Record<string, unknown>[] =>
    logged
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line['event'] === event);

  it('asks whether the lease is in force for the session that the hello names', async () => {
    const asked: ServedLease[] = [];
    verify = async (lease) => {
      asked.push(lease);
      return 'valid';
    };
    await linked('a');
    expect(asked).toEqual([{ token: 'token of a', epoch: 1, sessionId: 'a' }]);
  });

  it('logs with its session why an utterance failed', async () => {
    const peer = await linked('a');
    engine.failNextWrite = true;
    peer.begin(3);
    await peer.told('failed');
    expect(lines('engine_failed')).toMatchObject([
      { level: 'warn', sid: 'a', utterance: 3, message: 'scripted failure' },
    ]);
  });

  describe('while it drains', () => {
    it('closes idle links at once and the others as their utterances end, each with its final', async () => {
      const idle = await linked('idle');
      const [first, second] = [await speaking('first'), await speaking('second')];
      const drained = server.drain(60_000);
      expect(await idle.closed).toBe(1012);
      expect(sessions()).toEqual(['first', 'second']);
      first.send({ type: 'finish', utterance: 1 });
      expect(await first.closed).toBe(1012);
      expect(first.events.at(-1)?.type).toBe('final');
      expect(sessions()).toEqual(['second']);
      second.send({ type: 'cancel', utterance: 1 });
      expect(await second.closed).toBe(1012);
      await drained;
      expect(engine.openStreams).toBe(0);
    });

    it('begins no utterance on a link that was told to close', async () => {
      const peer = await speaking('a');
      peer.onEvent = ({ type }) => {
        if (type === 'final') peer.begin(2);
      };
      const drained = server.drain(60_000);
      peer.send({ type: 'finish', utterance: 1 });
      await drained;
      expect(await peer.closed).toBe(1012);
      expect(peer.events.at(-1)?.type).toBe('final');
      expect(engine.streams).toHaveLength(1);
    });

    it('refuses a link whose lease is still being verified', async () => {
      let answer: (check: LeaseCheck) => void = () => undefined;
      verify = () =>
        new Promise((resolve) => {
          answer = resolve;
        });
      const peer = await dial();
      peer.hello('a');
      await peer.heard();
      await server.drain(60_000);
      answer('valid');
      expect(await peer.closed).toBe(1000);
      expect(peer.events).toEqual([{ type: 'refused', reason: 'draining' }]);
      expect(sessions()).toEqual([]);
    });

    it('ends in its time however long an utterance lasts, and then ends that, too', async () => {
      const peer = await speaking('a');
      await server.drain(50);
      expect(engine.openStreams).toBe(1);
      server.close();
      expect(engine.openStreams).toBe(0);
      expect(await peer.closed).toBe(1012);
    });
  });

  describe('to a peer that means no good', () => {
    it('says once that its hello is bad, and hears nothing more', async () => {
      const peer = await dial();
      for (let nth = 0; nth < 5; nth += 1) peer.send(SECRET);
      peer.hello('a');
      expect(await peer.closed).toBe(1000);
      expect(peer.events).toEqual([{ type: 'refused', reason: 'bad_hello' }]);
      expect(await refused('bad_hello')).toBe(1);
      expect(lines('link_fault')).toMatchObject([{ reason: 'bad_hello', error: 'SyntaxError' }]);
    });

    it('refuses a hello above 4 KiB without reading it', async () => {
      const peer = await dial();
      peer.hello('a', ' '.repeat(4_096));
      expect(await peer.closed).not.toBe(1012);
      expect(await refused('bad_hello')).toBe(1);
      expect(lines('link_fault')).toMatchObject([{ reason: 'hello_too_large' }]);
      expect(sessions()).toEqual([]);
    });

    it('takes a hello of 4 KiB', async () => {
      const peer = await dial();
      peer.hello('a', ' '.repeat(4_096 - 100));
      await peer.told('ready');
    });

    it('hangs up on the first bytes of a huge frame in place of a hello', async () => {
      const connection = once(http, 'connection');
      const peer = await dial();
      const [stream] = (await connection) as [Socket];
      peer.socket.send(Buffer.alloc(8 * 1024 * 1024));
      await peer.closed;
      expect(stream.bytesRead).toBeLessThan(1024 * 1024);
      expect(await refused('bad_hello')).toBe(1);
      expect(lines('link_fault')).toMatchObject([{ reason: 'hello_too_large' }]);
    });

    it('takes one bad frame, ends the utterance at once, and hears nothing more', async () => {
      const peer = await speaking('a');
      for (let nth = 0; nth < 5; nth += 1) peer.send(`{"type":"${SECRET}"}`);
      peer.begin(2);
      expect(await peer.closed).toBe(1002);
      expect(engine.openStreams).toBe(0);
      expect(engine.streams).toHaveLength(1);
      expect(lines('link_fault')).toMatchObject([
        { sid: 'a', reason: 'bad_frame', error: 'ZodError' },
      ]);
    });

    it('closes on a frame before ready, and says nothing more when the lease is verified', async () => {
      let answer: (check: LeaseCheck) => void = () => undefined;
      verify = () =>
        new Promise((resolve) => {
          answer = resolve;
        });
      const peer = await dial();
      peer.hello(SECRET);
      peer.begin(1);
      expect(await peer.closed).toBe(1002);
      answer('lease_unknown');
      await new Promise((resolve) => setImmediate(resolve));
      expect([peer.events, sessions(), await refused('lease_unknown')]).toEqual([[], [], 0]);
      expect(lines('link_fault')).toMatchObject([{ reason: 'frame_before_ready' }]);
    });

    it('waits two seconds for its answer to a close, and no longer', async () => {
      const peer = await linked('a');
      peer.send(SECRET);
      peer.socket.pause();
      const sinceMs = performance.now();
      const connections = (): Promise<number> =>
        new Promise((resolve) => http.getConnections((_error, count) => resolve(count)));
      while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(performance.now() - sinceMs).toBeLessThan(3_000);
      peer.socket.terminate();
    });

    afterEach(() => expect(logged.join('')).not.toContain(SECRET));
  });
});
