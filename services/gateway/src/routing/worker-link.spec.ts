import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LINK_VERSION, LinkRefusal } from '@voice-fleet/protocol/link';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type WebSocket, WebSocketServer } from 'ws';
import type { LinkListener } from '../session/link.ts';
import { dialWorker, type LinkRefused, type LinkSettings, type WorkerLink } from './worker-link.ts';

const SETTINGS: LinkSettings = {
  dialTimeoutMs: 300,
  inboundQueueMax: 4,
  stallMs: 1_000,
  heartbeatMs: 5_000,
  closeTimeoutMs: 700,
};
const READY = { type: 'ready', epoch: 7, model: 'm' };
const PCM = Buffer.alloc(64);

/** The worker's end of a link. */
class Peer {
  readonly socket: WebSocket;
  /** Commands as objects, audio as its number of bytes. */
  readonly frames: unknown[] = [];
  readonly closed: Promise<number>;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.frames.push(isBinary ? data.length : JSON.parse(data.toString()));
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', (code) => resolve(code));
    });
  }

  say(event: unknown): void {
    this.socket.send(typeof event === 'string' ? event : JSON.stringify(event));
  }
}

/** Keeps what the link reports, in order. */
class Reports implements LinkListener {
  readonly all: unknown[] = [];
  readonly settled: number[] = [];
  readonly taken: (number | undefined)[][] = [];
  #waiter: (() => void) | undefined;

  onUtterance(event: unknown): void {
    this.#add(event);
  }
  onSettled(sample: number): void {
    this.settled.push(sample);
  }
  onTaken(...taken: (number | undefined)[]): void {
    this.taken.push(taken);
  }
  onDraining(): void {
    this.#add('draining');
  }
  onStalled(): void {
    this.#add('stalled');
  }
  onCongestion(clogged: boolean): void {
    this.#add(clogged ? 'held' : 'flows');
  }
  onLost(cause: string): void {
    this.#add(`lost: ${cause}`);
  }

  async count(wanted: number): Promise<void> {
    while (this.all.length < wanted)
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
  }

  #add(report: unknown): void {
    this.all.push(report);
    this.#waiter?.();
  }
}

describe('a link to a worker', () => {
  let server: WebSocketServer;
  let clock: FakeClock;
  let reports: Reports;
  let abort: AbortController;
  let peers: Peer[];
  let autoPong = true;

  const port = (): number => (server.address() as AddressInfo).port;

  function dial(address = `127.0.0.1:${port()}`): Promise<WorkerLink> {
    // Links of one test end after it, when the next one has reports of its own.
    const own = reports;
    const lease = { token: 'tok', epoch: 7, tenantId: 't' };
    const target = { workerId: 'w', address, sessionId: 'sess_1', ...lease };
    return dialWorker(target, own, SETTINGS, clock, abort.signal);
  }

  /** The peer, once it has heard the hello. */
  async function accepted(): Promise<Peer> {
    const [socket] = (await once(server, 'connection')) as [WebSocket];
    const peer = new Peer(socket);
    peers.push(peer);
    await once(socket, 'message');
    return peer;
  }

  async function linked(): Promise<{ link: WorkerLink; peer: Peer }> {
    const dialled = dial();
    const peer = await accepted();
    peer.say(READY);
    return { link: await dialled, peer };
  }

  async function refused(dialled: Promise<WorkerLink>): Promise<LinkRefused['reason']> {
    const error = (await dialled.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )) as LinkRefused | undefined;
    expect(error?.name).toBe('LinkRefused');
    // The caller gives the lease back and goes on; nothing of the dial may be left.
    expect(clock.pending).toBe(0);
    expect(reports.all).toEqual([]);
    return error?.reason ?? 'unreachable';
  }

  /** Everything the peer has sent so far has been handled when the pong of this ping is back. */
  async function heard(peer: Peer): Promise<void> {
    peer.socket.ping();
    await once(peer.socket, 'pong');
  }

  beforeEach(async () => {
    clock = new FakeClock();
    reports = new Reports();
    abort = new AbortController();
    peers = [];
    autoPong = true;
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/link' });
    server.on('connection', (socket: WebSocket & { _autoPong?: boolean }) => {
      socket._autoPong = autoPong;
    });
    await once(server, 'listening');
  });
  afterEach(() => {
    for (const { socket } of peers) socket.terminate();
    server.close();
  });

  describe('being dialled', () => {
    it('says hello with its lease and takes the model of the answer', async () => {
      const { link, peer } = await linked();
      const lease = { token: 'tok', epoch: 7, tenant: 't' };
      const hello = { type: 'hello', version: LINK_VERSION, session: 'sess_1', lease };
      expect(peer.frames).toEqual([hello]);
      expect(link.model).toBe('m');
      expect(reports.all).toEqual([]);
    });

    it.each(LinkRefusal.options)('is refused with the reason of the worker: %s', async (reason) => {
      const dialled = dial();
      const peer = await accepted();
      peer.say({ type: 'refused', reason });
      expect(await refused(dialled)).toBe(reason);
      await peer.closed;
    });

    it('finds a port unreachable where nobody listens', async () => {
      const probe = createServer().listen(0, '127.0.0.1');
      await once(probe, 'listening');
      const address = `127.0.0.1:${(probe.address() as AddressInfo).port}`;
      probe.close();
      await once(probe, 'close');
      expect(await refused(dial(address))).toBe('unreachable');
    });

    it('finds a server unreachable that has no link endpoint', async () => {
      server.options.path = '/other';
      expect(await refused(dial())).toBe('unreachable');
    });

    it('gives up when the worker says nothing until the dial times out, and not before', async () => {
      const dialled = dial();
      const peer = await accepted();
      clock.advance(SETTINGS.dialTimeoutMs - 1);
      await heard(peer);
      clock.advance(1);
      expect(await refused(dialled)).toBe('unreachable');
      await peer.closed;
    });

    it('gives up on a host that accepts connections but never upgrades them', async () => {
      const mute = createServer().listen(0, '127.0.0.1');
      await once(mute, 'listening');
      const dialled = dial(`127.0.0.1:${(mute.address() as AddressInfo).port}`);
      await once(mute, 'connection');
      clock.advance(SETTINGS.dialTimeoutMs);
      expect(await refused(dialled)).toBe('unreachable');
      mute.close();
    });

    it('finds a worker unreachable that closes before it is ready', async () => {
      const dialled = dial();
      const peer = await accepted();
      peer.socket.close(1012);
      expect(await refused(dialled)).toBe('unreachable');
    });

    it.each([
      'hm?',
      '{}',
      JSON.stringify({ ...READY, epoch: 6 }),
      JSON.stringify({ type: 'ack', frames: 0, takenSample: 0, sample: 0 }),
    ])('finds a worker unreachable that answers %s', async (answer) => {
      const dialled = dial();
      const peer = await accepted();
      peer.say(answer);
      expect(await refused(dialled)).toBe('unreachable');
      await peer.closed;
    });

    it.each(['before it began', 'while connecting', 'while waiting for the worker'])(
      'rejects with the reason of an abort %s, and hangs up',
      async (when) => {
        const reason = new Error('not wanted any more');
        if (when === 'before it began') abort.abort(reason);
        const dialled = dial();
        const rejected = expect(dialled).rejects.toBe(reason);
        if (when === 'while connecting') abort.abort(reason);
        if (when === 'while waiting for the worker') {
          const peer = await accepted();
          abort.abort(reason);
          await peer.closed;
        }
        await rejected;
        expect(clock.pending).toBe(0);
        expect(reports.all).toEqual([]);
      },
    );

    it('is not touched by an abort once it is up', async () => {
      const { link, peer } = await linked();
      abort.abort();
      link.finish(1);
      await heard(peer);
      expect(peer.frames.at(-1)).toEqual({ type: 'finish', utterance: 1 });
      expect(reports.all).toEqual([]);
    });
  });

  describe('being up', () => {
    it('carries commands and audio in order, and reports what the worker says of utterances', async () => {
      const { link, peer } = await linked();
      link.start(1, 32);
      link.audio(PCM);
      link.finish(1);
      link.cancel(1);
      await heard(peer);
      expect(peer.frames.slice(1)).toEqual([
        { type: 'start', utterance: 1, fromSample: 32 },
        64,
        { type: 'finish', utterance: 1 },
        { type: 'cancel', utterance: 1 },
      ]);
      const events = [
        { type: 'partial', utterance: 1, words: [], tail: 'x' },
        { type: 'dropped', utterance: 1, samples: 1, maxBacklogSamples: 2 },
        { type: 'failed', utterance: 1, reason: 'x' },
        { type: 'final', utterance: 2, words: [], promptTokens: 0, completionTokens: 0 },
      ];
      for (const event of events) peer.say(event);
      await reports.count(4);
      expect(reports.all).toEqual(events);
    });

    it('has its client held while more than the limit waits, and until half of that is taken', async () => {
      const { link, peer } = await linked();
      for (let frame = 0; frame < SETTINGS.inboundQueueMax; frame += 1) link.audio(PCM);
      expect(reports.all).toEqual([]);
      link.audio(PCM);
      link.audio(PCM);
      expect(reports.all).toEqual(['held']);
      peer.say({ type: 'ack', frames: 3, takenSample: 0, sample: 0 });
      await heard(peer);
      expect(reports.all).toEqual(['held']);
      peer.say({ type: 'ack', frames: 4, takenSample: 0, sample: 0 });
      await heard(peer);
      expect(reports.all).toEqual(['held', 'flows']);
      clock.advance(SETTINGS.stallMs);
      expect(reports.all).toEqual(['held', 'flows']);
    });

    it('is stalled when nothing of a full queue is taken for a second, though the worker talks', async () => {
      const { link, peer } = await linked();
      for (let frame = 0; frame <= SETTINGS.inboundQueueMax; frame += 1) link.audio(PCM);
      clock.advance(SETTINGS.stallMs - 1);
      // An ack that is no progress buys no time.
      peer.say({ type: 'ack', frames: 0, takenSample: 0, sample: 0 });
      await heard(peer);
      expect(reports.all).toEqual(['held']);
      clock.advance(1);
      expect(reports.all).toEqual(['held', 'stalled']);
    });

    it('is not stalled while the engine works on a long frame', async () => {
      const { link, peer } = await linked();
      for (let frame = 0; frame <= SETTINGS.inboundQueueMax; frame += 1) link.audio(PCM);
      for (let takenSample = 1; takenSample <= 4; takenSample += 1) {
        clock.advance(SETTINGS.stallMs - 1);
        peer.say({ type: 'ack', frames: 0, takenSample, sample: 0 });
        await heard(peer);
      }
      expect(reports.all).toEqual(['held']);
    });

    it('is lost when nothing of a full queue is taken for a second, and nothing is heard either', async () => {
      const { link } = await linked();
      for (let frame = 0; frame <= SETTINGS.inboundQueueMax; frame += 1) link.audio(PCM);
      clock.advance(SETTINGS.stallMs);
      expect(reports.all).toEqual(['held', 'lost: stalled']);
      expect(clock.pending).toBe(0);
    });

    it('is not stalled by a burst as long as the worker gets on with it', async () => {
      const { link, peer } = await linked();
      for (let frame = 0; frame < 50; frame += 1) link.audio(PCM);
      for (let frames = 1; frames <= 4; frames += 1) {
        clock.advance(SETTINGS.stallMs - 1);
        peer.say({ type: 'ack', frames, takenSample: 0, sample: 0 });
        await heard(peer);
      }
      expect(reports.all).toEqual(['held']);
    });

    it('has its client held while many bytes are on their way, however few frames they are', async () => {
      const { link, peer } = await linked();
      peer.socket.pause();
      const chunk = Buffer.alloc(8 * 1024 * 1024);
      link.audio(chunk);
      link.audio(chunk);
      expect(reports.all).toEqual(['held']);
      peer.socket.resume();
      await heard(peer);
      expect(peer.frames.slice(1)).toEqual([chunk.length, chunk.length]);
      peer.say({ type: 'ack', frames: 2, takenSample: 0, sample: 0 });
      await reports.count(2);
      expect(reports.all).toEqual(['held', 'flows']);
    });

    it('is lost when the worker closes it', async () => {
      const { peer } = await linked();
      peer.socket.close(1012);
      await reports.count(1);
      expect(reports.all).toEqual(['lost: closed 1012']);
      expect(clock.pending).toBe(0);
    });

    it('is lost when its host vanishes', async () => {
      const { peer } = await linked();
      peer.socket.terminate();
      await reports.count(1);
      expect(reports.all).toEqual(['lost: closed 1006']);
    });

    it('tells of a worker that drains, and how far it has settled and taken audio', async () => {
      const { peer } = await linked();
      peer.say({ type: 'draining', cause: 'stopping' });
      peer.say({ type: 'ack', frames: 0, takenSample: 9, sample: 7, workMs: 2 });
      await heard(peer);
      expect([reports.all, reports.settled, reports.taken]).toEqual([['draining'], [7], [[9, 2]]]);
    });

    it('hands over what another worker has made of an utterance', async () => {
      const { link, peer } = await linked();
      const words = [{ text: 'one', startSample: 1, endSample: 2 }];
      const resume = { heardSample: 64, liveSample: 96, words };
      link.start(3, 32, { resume });
      await heard(peer);
      expect(peer.frames.at(-1)).toEqual({ type: 'start', utterance: 3, fromSample: 32, resume });
    });

    it('is lost when the worker says nothing for three seconds though audio was sent', async () => {
      autoPong = false;
      const { link } = await linked();
      clock.advance(2_500);
      link.audio(PCM);
      clock.advance(2_500);
      expect(reports.all).toEqual([]);
      clock.advance(500);
      expect(reports.all).toEqual(['lost: mute']);
    });

    it('is kept while the worker answers its pings', async () => {
      const { peer } = await linked();
      for (let beat = 0; beat < 3; beat += 1) {
        const pinged = once(peer.socket, 'ping');
        clock.advance(SETTINGS.heartbeatMs);
        await pinged;
        await heard(peer);
      }
      expect(reports.all).toEqual([]);
    });

    it('is lost when a ping is not answered until the next one', async () => {
      autoPong = false;
      const { peer } = await linked();
      clock.advance(SETTINGS.heartbeatMs);
      expect(reports.all).toEqual([]);
      clock.advance(SETTINGS.heartbeatMs);
      expect(reports.all).toEqual(['lost: no answer to ping']);
      expect(await peer.closed).toBe(1006);
      expect(clock.pending).toBe(0);
    });

    it('counts any event of the worker as a sign of life', async () => {
      autoPong = false;
      const { peer } = await linked();
      for (let beat = 0; beat < 3; beat += 1) {
        clock.advance(SETTINGS.heartbeatMs);
        peer.say({ type: 'ack', frames: 0, takenSample: 0, sample: 0 });
        await heard(peer);
      }
      expect(reports.all).toEqual([]);
    });

    it.each([
      ['%', 'unreadable event'],
      ['{"type":"final","utterance":0}', 'unreadable event'],
      ['{"type":"unheard-of"}', 'unreadable event'],
      [JSON.stringify(READY), 'unexpected ready'],
      ['{"type":"refused","reason":"full"}', 'unexpected refused'],
    ])('is lost once on %s, and nothing after it is reported', async (text, cause) => {
      const { peer } = await linked();
      peer.say(text);
      peer.say({ type: 'failed', utterance: 1, reason: 'x' });
      peer.say(text);
      await peer.closed;
      expect(reports.all).toEqual([`lost: ${cause}`]);
      expect(clock.pending).toBe(0);
    });

    it('is lost on an event larger than any may be', async () => {
      const { peer } = await linked();
      peer.say('x'.repeat(4 * 1024 * 1024 + 1));
      await reports.count(1);
      expect(reports.all).toEqual([expect.stringMatching(/^lost: closed 1/)]);
    });
  });

  describe('being closed', () => {
    it('says goodbye and reports nothing of what comes meanwhile', async () => {
      const { link, peer } = await linked();
      const closed = link.close();
      peer.say({ type: 'failed', utterance: 1, reason: 'x' });
      peer.say('%');
      await closed;
      expect(await peer.closed).toBe(1000);
      expect(reports.all).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('settles only when the worker has closed too, or after its limit', async () => {
      const { link, peer } = await linked();
      peer.socket.pause();
      let settled = false;
      const closed = link.close().then(() => {
        settled = true;
      });
      clock.advance(SETTINGS.closeTimeoutMs - 1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(settled).toBe(false);
      clock.advance(1);
      await closed;
      expect(reports.all).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('is not lost as well when told so too late', async () => {
      const { link } = await linked();
      const closed = link.close();
      link.lose('lease lost');
      await closed;
      expect(reports.all).toEqual([]);
    });
  });

  it('that is told to be lost ends at once, and once', async () => {
    const { link, peer } = await linked();
    link.lose('lease lost');
    link.lose('again');
    expect(reports.all).toEqual(['lost: lease lost']);
    expect(await peer.closed).toBe(1006);
  });
});
