import type { Server } from 'node:http';
import type { LeaseCheck } from '@voice-fleet/fleet/lease';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { ServedLease } from '@voice-fleet/fleet/worker';
import { LINK_PATH, type LinkEvent, LinkHello, type LinkRefusal } from '@voice-fleet/protocol/link';
import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { routeUpgrades } from '@voice-fleet/runtime/upgrade';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { type WebSocket, WebSocketServer } from 'ws';
import type { WorkerMetrics } from '../metrics.ts';
import { LinkSession, type LinkSessionDeps } from './link-session.ts';

/** A frame holds one message of a client, which the gateway bounds; this only guards against a broken peer. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
const HELLO_TIMEOUT_MS = 5_000;
const GOING_AWAY = 1012;
const PROTOCOL_ERROR = 1002;

export interface LinkServerDeps {
  readonly clock: Clock;
  readonly session: Omit<LinkSessionDeps, 'onIdle'>;
  readonly metrics: WorkerMetrics;
  readonly slots: () => number;
  readonly engineReady: () => boolean;
  /** Whether the lease is in force for this worker. May throw RedisUnavailable. */
  readonly verify: (token: string, epoch: number) => Promise<LeaseCheck>;
  readonly heartbeatMs: number;
  readonly log: Logger;
}

/** A socket that has said hello. */
interface Peer {
  readonly lease: ServedLease;
  readonly socket: WebSocket;
  /** Absent while its lease is being verified. */
  session: LinkSession | undefined;
}

/** Takes the links of gateways: one for each lease, never more than there are slots. */
export class LinkServer {
  readonly #deps: LinkServerDeps;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
  });
  readonly #peers = new Map<string, Peer>();
  readonly #stopRouting: () => void;
  #draining = false;
  #onIdle: () => void = () => undefined;

  constructor(http: Server, deps: LinkServerDeps) {
    this.#deps = deps;
    this.#stopRouting = routeUpgrades(http, this.#sockets, (path) => path === LINK_PATH);
    this.#sockets.on('connection', (socket: WebSocket) => this.#accept(socket));
  }

  /** Leases of all links, those still being verified included. */
  leases(): ServedLease[] {
    return Array.from(this.#peers.values(), (peer) => peer.lease);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Takes no more links; settles when no utterance is under way, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    if (!this.#busy()) return;
    const idle = new AbortController();
    this.#onIdle = () => {
      if (!this.#busy()) idle.abort();
    };
    await sleep(this.#deps.clock, timeoutMs, idle.signal).catch(() => undefined);
  }

  /** Closes all links in a way that tells gateways to go elsewhere. */
  close(): void {
    this.#draining = true;
    this.#stopRouting();
    for (const socket of this.#sockets.clients) socket.close(GOING_AWAY);
    this.#sockets.close();
  }

  #busy(): boolean {
    return Array.from(this.#peers.values()).some((peer) => peer.session?.busy);
  }

  #accept(socket: WebSocket): void {
    const { clock, heartbeatMs, log } = this.#deps;
    let peer: Peer | undefined;
    let heard = true;
    const helloTimer = clock.after(HELLO_TIMEOUT_MS, () => socket.terminate());
    const heartbeat = clock.every(heartbeatMs, () => {
      if (!heard) return socket.terminate();
      heard = false;
      socket.ping();
    });
    socket.on('pong', () => {
      heard = true;
    });
    socket.on('error', (error) => log.debug({ event: 'link_socket_error', err: error }));
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      heard = true;
      try {
        if (peer === undefined) {
          helloTimer.cancel();
          const { session: sessionId, lease } = LinkHello.parse(
            isBinary ? undefined : JSON.parse(data.toString()),
          );
          peer = { lease: { ...lease, sessionId }, socket, session: undefined };
          void this.#admit(peer);
        } else if (peer.session === undefined) {
          throw new Error('a frame before ready');
        } else {
          peer.session.onFrame(data, isBinary);
        }
      } catch (error) {
        log.warn({ event: 'link_fault', sid: peer?.lease.sessionId, message: String(error) });
        if (peer === undefined) this.#refuse(socket, 'bad_hello');
        else socket.close(PROTOCOL_ERROR);
      }
    });
    socket.once('close', () => {
      helloTimer.cancel();
      heartbeat.cancel();
      if (peer) this.#forget(peer);
    });
  }

  async #admit(peer: Peer): Promise<void> {
    const { lease, socket } = peer;
    const refusal = this.#refusal(lease) ?? (await this.#verified(peer));
    if (refusal !== undefined) {
      this.#forget(peer);
      return this.#refuse(socket, refusal);
    }
    if (this.#peers.get(lease.token) !== peer) return;
    this.#replaceOlder(lease);
    peer.session = new LinkSession(socket, { ...this.#deps.session, onIdle: () => this.#onIdle() });
    const { model } = this.#deps.session.engine;
    send(socket, { type: 'ready', epoch: lease.epoch, model });
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
    this.#deps.metrics.slotsUsed.set(this.#peers.size);
    try {
      const check = await this.#deps.verify(peer.lease.token, peer.lease.epoch);
      return check === 'valid' ? undefined : check;
    } catch (error) {
      if (!(error instanceof RedisUnavailable))
        this.#deps.log.error({ event: 'verify_failed', err: error });
      return 'not_ready';
    }
  }

  #refuse(socket: WebSocket, reason: LinkRefusal): void {
    this.#deps.metrics.linksRefused.labels(reason).inc();
    send(socket, { type: 'refused', reason });
    socket.close(1000);
  }

  #forget(peer: Peer): void {
    peer.session?.close();
    if (this.#peers.get(peer.lease.token) === peer) this.#peers.delete(peer.lease.token);
    this.#deps.metrics.slotsUsed.set(this.#peers.size);
    this.#onIdle();
  }
}

function send(socket: WebSocket, event: LinkEvent): void {
  socket.send(JSON.stringify(event));
}
