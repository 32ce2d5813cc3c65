import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { LeaseCheck } from '@voice-fleet/fleet/lease';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { ServedLease } from '@voice-fleet/fleet/worker';
import { LINK_PATH, type LinkEvent, LinkHello, type LinkRefusal } from '@voice-fleet/protocol/link';
import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { acceptPaths, routeUpgrades } from '@voice-fleet/runtime/upgrade';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { traceparentIn } from '@voice-fleet/telemetry/tracing/traceparent';
import type { Span } from '@voice-fleet/telemetry/tracing/tracer';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import type { WorkerMetrics } from '../metrics.ts';
import { LinkSession, type LinkSessionDeps } from './link-session.ts';

/** A frame holds one message of a client: the most that WS_MAX_MESSAGE_BYTES of the gateway can be. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;
/** Nobody has shown a lease yet. */
const MAX_HELLO_BYTES = 4096;
const FRAME_HEADER_BYTES = 14;
const HELLO_TIMEOUT_MS = 5_000;
/** For gateways to move their idle sessions by themselves, before they are told to. */
const DRAIN_GRACE_MS = 2_000;
/** For a peer to answer a close. */
const CLOSE_TIMEOUT_MS = 2_000;
const NORMAL = 1000;
const GOING_AWAY = 1012;
const PROTOCOL_ERROR = 1002;

export interface LinkServerDeps {
  readonly clock: Clock;
  readonly session: Omit<LinkSessionDeps, 'log' | 'onIdle' | 'sessionId'>;
  readonly metrics: WorkerMetrics;
  readonly slots: () => number;
  readonly engineReady: () => boolean;
  /** Whether the lease is in force for this worker. May throw RedisUnavailable. */
  readonly verify: (lease: ServedLease) => Promise<LeaseCheck>;
  readonly heartbeatMs: number;
  /** A session has come, and needs a slot from now on. */
  readonly onLink?: () => void;
  readonly log: Logger;
}

type LinkFault = 'hello_too_large' | 'bad_hello' | 'frame_before_ready' | 'bad_frame';

/** A socket that has said hello. */
interface Peer {
  readonly lease: ServedLease;
  readonly socket: WebSocket;
  /** Until it may be used. */
  readonly span: Span;
  /** Absent while its lease is being verified. */
  session: LinkSession | undefined;
}

/** Takes the links of gateways: one for each lease, never more than there are slots. */
export class LinkServer {
  readonly #deps: LinkServerDeps;
  readonly #sockets: WebSocketServer;
  readonly #peers = new Map<string, Peer>();
  readonly #stopRouting: () => void;
  #draining = false;
  /** A link without an utterance is of no more use. */
  #closesIdle = false;
  #onGone: () => void = () => undefined;

  constructor(http: Server, deps: LinkServerDeps) {
    this.#deps = deps;
    const options: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      closeTimeout: CLOSE_TIMEOUT_MS,
    };
    this.#sockets = new WebSocketServer(options);
    const onlyLinks = acceptPaths((path) => path === LINK_PATH);
    this.#stopRouting = routeUpgrades(http, this.#sockets, onlyLinks);
    this.#sockets.on('connection', (socket: WebSocket, request: IncomingMessage) =>
      this.#accept(socket, request),
    );
  }

  /** Leases of all links, those still being verified included. */
  leases(): ServedLease[] {
    return Array.from(this.#peers.values(), (peer) => peer.lease);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Takes no more links, and tells those it has that their sessions should go on elsewhere; they work on meanwhile. After
   * two seconds it closes each on which no utterance is under way. Settles when no link is left, or after `timeoutMs`.
   */
  async drain(timeoutMs: number): Promise<void> {
    const { clock } = this.#deps;
    this.#draining = true;
    for (const { session, socket } of this.#peers.values())
      if (session) send(socket, { type: 'draining', cause: 'stopping' });
    const empty = new AbortController();
    this.#onGone = () => {
      if (!this.#serving()) empty.abort();
    };
    this.#onGone();
    const graceMs = Math.min(DRAIN_GRACE_MS, timeoutMs);
    await sleep(clock, graceMs, empty.signal).catch(() => undefined);
    this.#closesIdle = true;
    for (const peer of this.#peers.values())
      if (peer.session?.busy === false) this.#end(peer, GOING_AWAY);
    await sleep(clock, timeoutMs - graceMs, empty.signal).catch(() => undefined);
  }

  /** Closes all links in a way that tells gateways to go elsewhere. */
  close(): void {
    this.#draining = true;
    this.#stopRouting();
    for (const peer of this.#peers.values()) this.#end(peer, GOING_AWAY);
    for (const socket of this.#sockets.clients) hangUp(socket, GOING_AWAY);
    this.#sockets.close();
  }

  /** Whether there is a link whose lease was verified. */
  #serving(): boolean {
    return Array.from(this.#peers.values()).some((peer) => peer.session !== undefined);
  }

  #accept(socket: WebSocket, { socket: stream, headers }: IncomingMessage): void {
    const { clock, heartbeatMs, log, session } = this.#deps;
    const span = session.tracer.start('accept', {
      kind: 'server',
      parent: traceparentIn(headers),
      attributes: { protocol: 'link', method: 'GET', path: LINK_PATH },
    });
    let peer: Peer | undefined;
    let heard = true;
    const helloTimer = clock.after(HELLO_TIMEOUT_MS, () => socket.terminate());
    const heartbeat = clock.every(heartbeatMs, () => {
      if (!heard) return socket.terminate();
      heard = false;
      socket.ping();
    });
    const fault = (reason: LinkFault, error?: unknown): void => {
      // What a peer has sent is quoted in no line: not in a message, and not as a session that no lease speaks for.
      const sid = peer?.session && peer.lease.sessionId;
      log.warn({
        event: 'link_fault',
        sid,
        reason,
        error: error instanceof Error ? error.name : undefined,
      });
      span.end(reason);
      if (peer === undefined) this.#refuse(socket, 'bad_hello');
      else this.#end(peer, PROTOCOL_ERROR);
    };
    const stopWatching = watchBytes(stream, MAX_HELLO_BYTES + FRAME_HEADER_BYTES, () => {
      fault('hello_too_large');
      socket.terminate();
    });
    socket.on('pong', () => {
      heard = true;
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) =>
      log.debug({ event: 'link_socket_error', code }),
    );
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      heard = true;
      if (peer === undefined) {
        helloTimer.cancel();
        stopWatching();
        if (data.length > MAX_HELLO_BYTES) return fault('hello_too_large');
      } else if (peer.session === undefined) {
        return fault('frame_before_ready');
      }
      try {
        if (peer?.session) return peer.session.onFrame(data, isBinary);
        const hello = LinkHello.parse(isBinary ? undefined : JSON.parse(data.toString()));
        const { token, epoch, tenant } = hello.lease;
        const lease = { token, epoch, sessionId: hello.session, tenantId: tenant };
        peer = { lease, socket, span, session: undefined };
      } catch (error) {
        return fault(peer ? 'bad_frame' : 'bad_hello', error);
      }
      void this.#admit(peer);
    });
    socket.once('close', () => {
      helloTimer.cancel();
      heartbeat.cancel();
      stopWatching();
      span.end('gone');
      if (peer) this.#forget(peer);
    });
  }

  async #admit(peer: Peer): Promise<void> {
    const { lease, socket } = peer;
    peer.span.set({ session: lease.sessionId, tenant: lease.tenantId });
    const refusal = this.#refusal(lease);
    if (refusal !== undefined) return this.#refuse(socket, refusal, peer.span);
    const fault = await this.#verified(peer);
    if (this.#peers.get(lease.token) !== peer) return;
    if (fault !== undefined) {
      this.#forget(peer);
      return this.#refuse(socket, fault, peer.span);
    }
    this.#replaceOlder(lease);
    peer.session = new LinkSession(socket, {
      ...this.#deps.session,
      sessionId: lease.sessionId,
      log: this.#deps.log.child({ sid: lease.sessionId }),
      onIdle: () => {
        if (this.#closesIdle) this.#end(peer, GOING_AWAY);
      },
    });
    const { model } = this.#deps.session.engine;
    send(socket, { type: 'ready', epoch: lease.epoch, model });
    peer.span.end();
  }

  /** What speaks against the link without asking Redis. */
  #refusal(lease: ServedLease): LinkRefusal | undefined {
    if (this.#draining) return 'draining';
    if (!this.#deps.engineReady()) return 'not_ready';
    if (this.#peers.has(lease.token)) return 'stale_epoch';
    const others = new Set<string>();
    for (const other of this.#peers.values()) {
      if (other.lease.sessionId !== lease.sessionId) others.add(other.lease.sessionId);
      else if (other.lease.epoch >= lease.epoch) return 'stale_epoch';
    }
    return others.size >= this.#deps.slots() ? 'full' : undefined;
  }

  /** The session has come back under a newer lease: its old link is a leftover. Only a verified lease may say so. */
  #replaceOlder(lease: ServedLease): void {
    for (const other of this.#peers.values()) {
      if (other.lease.sessionId !== lease.sessionId || other.lease.epoch >= lease.epoch) continue;
      this.#forget(other);
      other.socket.terminate();
    }
  }

  async #verified(peer: Peer): Promise<LinkRefusal | undefined> {
    // Counted before Redis is asked, so that a registration meanwhile keeps the lease alive.
    this.#peers.set(peer.lease.token, peer);
    this.#showUsed();
    this.#deps.onLink?.();
    try {
      const check = await this.#deps.verify(peer.lease);
      if (check !== 'valid') return check;
      return this.#draining ? 'draining' : undefined;
    } catch (error) {
      if (!(error instanceof RedisUnavailable))
        this.#deps.log.error({ event: 'verify_failed', err: error });
      return 'not_ready';
    }
  }

  #showUsed(): void {
    const { slotsUsed, pool } = this.#deps.metrics;
    slotsUsed.labels(pool).set(this.#peers.size);
  }

  #refuse(socket: WebSocket, reason: LinkRefusal, span?: Span): void {
    span?.end(reason);
    this.#deps.metrics.linksRefused.labels(reason).inc();
    send(socket, { type: 'refused', reason });
    hangUp(socket, NORMAL);
  }

  /** Stops the work of a link at once; its socket follows when the peer has answered the close. */
  #end(peer: Peer, code: number): void {
    this.#forget(peer);
    hangUp(peer.socket, code);
  }

  #forget(peer: Peer): void {
    peer.session?.close();
    if (this.#peers.get(peer.lease.token) === peer) this.#peers.delete(peer.lease.token);
    this.#showUsed();
    this.#onGone();
  }
}

/** What a peer still sends after it was told to go is not heard. */
function hangUp(socket: WebSocket, code: number): void {
  socket.removeAllListeners('message');
  socket.close(code);
}

/** Calls `onExceeded` when more than `maxBytes` have come, until told to stop: ws has one limit for all frames of a server. */
function watchBytes(stream: Socket, maxBytes: number, onExceeded: () => void): () => void {
  let leftBytes = maxBytes;
  const onData = (chunk: Buffer): void => {
    leftBytes -= chunk.length;
    if (leftBytes >= 0) return;
    stop();
    onExceeded();
  };
  const stop = (): void => {
    // Taken off while a chunk is handed round, a listener still gets that one.
    leftBytes = Number.POSITIVE_INFINITY;
    stream.off('data', onData);
  };
  stream.on('data', onData);
  return stop;
}

function send(socket: WebSocket, event: LinkEvent): void {
  socket.send(JSON.stringify(event));
}
