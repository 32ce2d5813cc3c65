import {
  LINK_PATH,
  LINK_VERSION,
  type LinkCommand,
  LinkEvent,
  type LinkRefusal,
} from '@voice-fleet/protocol/link';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { WebSocket } from 'ws';
import type { Link, LinkListener } from '../session/link.ts';

/** Above this the client is not read until the worker's socket has drained. */
const CLOGGED_BYTES = 1024 * 1024;
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

export interface LinkSettings {
  readonly dialTimeoutMs: number;
  /** Frames that may wait at the worker… */
  readonly inboundQueueMax: number;
  /** …and for how long without any progress before the link counts as stalled. */
  readonly stallMs: number;
  /** The worker must answer a ping within this time, else the link is lost. */
  readonly heartbeatMs: number;
  readonly closeTimeoutMs: number;
}

export interface LinkTarget {
  /** `host:port` of the worker. */
  readonly address: string;
  readonly token: string;
  readonly epoch: number;
  readonly sessionId: string;
  /** Gives the lease back; does not reject. Called when the socket is gone, so that the worker is free before its slot is. */
  readonly release: (end: 'closed' | 'lost') => Promise<void>;
}

/** The worker was not reached or would not take the session; another may. */
export class LinkRefused extends Error {
  readonly reason: LinkRefusal | 'unreachable';

  constructor(reason: LinkRefusal | 'unreachable', cause?: unknown) {
    super(`worker refused the link: ${reason}`, { cause });
    this.name = 'LinkRefused';
    this.reason = reason;
  }
}

/** One WebSocket to a worker, for one session and one lease. */
export class WorkerLink implements Link {
  readonly model: string;
  readonly #socket: WebSocket;
  readonly #release: LinkTarget['release'];
  readonly #listener: LinkListener;
  readonly #settings: LinkSettings;
  readonly #clock: Clock;
  readonly #heartbeat: Timer;
  readonly #onDrained = (): void => this.#drained();
  #stall: Timer | undefined;
  #sentFrames = 0;
  #ackedFrames = 0;
  #heard = true;
  #clogged = false;
  #closing = false;

  /** Use `dialWorker`. */
  constructor(
    socket: WebSocket,
    model: string,
    release: LinkTarget['release'],
    listener: LinkListener,
    settings: LinkSettings,
    clock: Clock,
  ) {
    this.#socket = socket;
    this.model = model;
    this.#release = release;
    this.#listener = listener;
    this.#settings = settings;
    this.#clock = clock;
    socket.on('message', (data: Buffer) => this.#onMessage(data));
    socket.on('pong', () => {
      this.#heard = true;
    });
    socket.on('close', (code) => this.lose(`closed ${code}`));
    this.#heartbeat = clock.every(settings.heartbeatMs, () => this.#beat());
  }

  start(utterance: number, fromSample: number): void {
    this.#command({ type: 'start', utterance, fromSample });
  }

  audio(pcm: Buffer): void {
    if (this.#clogged || this.#socket.bufferedAmount > CLOGGED_BYTES) this.#clog(pcm);
    else this.#socket.send(pcm);
    this.#count();
  }

  finish(utterance: number): void {
    this.#command({ type: 'finish', utterance });
  }

  cancel(utterance: number): void {
    this.#command({ type: 'cancel', utterance });
  }

  async close(): Promise<void> {
    this.#stop();
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.CLOSED) {
      await new Promise<void>((resolve) => {
        const giveUp = this.#clock.after(this.#settings.closeTimeoutMs, () => socket.terminate());
        socket.once('close', () => {
          giveUp.cancel();
          resolve();
        });
        socket.close(1000);
      });
    }
    await this.#release('closed');
  }

  /** Ends the link at once and tells the listener, unless it was closed before. */
  lose(cause: string): void {
    if (this.#closing) return;
    this.#stop();
    this.#socket.terminate();
    void this.#release('lost');
    this.#listener.onLost(cause);
  }

  #command(command: LinkCommand): void {
    this.#socket.send(JSON.stringify(command));
    this.#count();
  }

  #onMessage(data: Buffer): void {
    if (this.#closing) return;
    this.#heard = true;
    const result = LinkEvent.safeParse(parseJson(data));
    if (!result.success) return this.lose('unreadable event');
    const event = result.data;
    switch (event.type) {
      case 'ack':
        if (event.frames <= this.#ackedFrames) return;
        this.#ackedFrames = event.frames;
        this.#stall?.cancel();
        this.#stall = undefined;
        return this.#count(0);
      case 'ready':
      case 'refused':
        return this.lose(`unexpected ${event.type}`);
      case 'partial':
      case 'final':
      case 'dropped':
      case 'failed':
        return this.#listener.onUtterance(event);
    }
  }

  /** A burst is no stall: only a full queue without any progress for `stallMs` is. */
  #count(frames = 1): void {
    this.#sentFrames += frames;
    if (
      this.#stall !== undefined ||
      this.#sentFrames - this.#ackedFrames <= this.#settings.inboundQueueMax
    )
      return;
    this.#stall = this.#clock.after(this.#settings.stallMs, () => {
      if (!this.#closing) this.#listener.onStalled();
    });
  }

  #clog(pcm: Buffer): void {
    this.#socket.send(pcm, this.#onDrained);
    if (this.#clogged) return;
    this.#clogged = true;
    this.#listener.onCongestion(true);
  }

  #drained(): void {
    if (!this.#clogged || this.#closing || this.#socket.bufferedAmount > CLOGGED_BYTES / 2) return;
    this.#clogged = false;
    this.#listener.onCongestion(false);
  }

  #beat(): void {
    if (!this.#heard) return this.lose('no answer to ping');
    this.#heard = false;
    this.#socket.ping();
  }

  #stop(): void {
    this.#closing = true;
    this.#heartbeat.cancel();
    this.#stall?.cancel();
  }
}

/** Opens a link and waits until the worker is ready for the session. Rejects with LinkRefused, or the signal's reason. */
export function dialWorker(
  target: LinkTarget,
  listener: LinkListener,
  settings: LinkSettings,
  clock: Clock,
  signal: AbortSignal,
): Promise<WorkerLink> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${target.address}${LINK_PATH}`, {
      perMessageDeflate: false,
      maxPayload: MAX_EVENT_BYTES,
      // An all-zero mask keeps the frames valid and saves masking every audio byte; masks guard against proxies, and
      // no proxy stands between gateway and worker.
      generateMask: () => undefined,
    });
    const fail = (error: unknown): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.terminate();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    const timer = clock.after(settings.dialTimeoutMs, () =>
      fail(new LinkRefused('unreachable', 'dial timed out')),
    );
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => fail(new LinkRefused('unreachable', error)));
    socket.on('close', (code) => fail(new LinkRefused('unreachable', `closed ${code}`)));
    socket.on('open', () => {
      const lease = { token: target.token, epoch: target.epoch };
      const hello: LinkCommand = {
        type: 'hello',
        version: LINK_VERSION,
        session: target.sessionId,
        lease,
      };
      socket.send(JSON.stringify(hello));
    });
    socket.once('message', (data: Buffer) => {
      const result = LinkEvent.safeParse(parseJson(data));
      if (result.success && result.data.type === 'refused')
        return fail(new LinkRefused(result.data.reason));
      if (!result.success || result.data.type !== 'ready' || result.data.epoch !== target.epoch) {
        return fail(new LinkRefused('unreachable', 'no valid ready event'));
      }
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      resolve(new WorkerLink(socket, result.data.model, target.release, listener, settings, clock));
    });
  });
}

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    return undefined;
  }
}
