import {
  LINK_PATH,
  LINK_VERSION,
  type LinkCommand,
  LinkEvent,
  type LinkRefusal,
} from '@voice-fleet/protocol/link';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { WebSocket } from 'ws';
import type { Link, LinkListener, LinkStart } from '../session/link.ts';

/** So many bytes on their way to the worker count as a full queue, however few frames they are. */
const MAX_QUEUED_BYTES = 1024 * 1024;
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

export interface LinkSettings {
  readonly dialTimeoutMs: number;
  /** Frames that may wait at the worker; above, the client is not read until half of them are taken. */
  readonly inboundQueueMax: number;
  /** A full queue of which nothing is taken for this long: the engine is stuck, or if nothing is heard either, the worker. */
  readonly stallMs: number;
  /** A worker that is not heard for twice this time is lost. */
  readonly heartbeatMs: number;
  readonly closeTimeoutMs: number;
}

export interface LinkTarget {
  readonly workerId: string;
  /** `host:port` of the worker. */
  readonly address: string;
  readonly token: string;
  readonly epoch: number;
  readonly tenantId: string;
  readonly sessionId: string;
  readonly traceparent?: string | undefined;
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

/** A worker acknowledges audio four times a second: one that says nothing for so long hears nothing either. */
const MUTE_MS = 3_000;

/** One WebSocket to a worker, for one session and one lease, which is its owner's. */
export class WorkerLink implements Link {
  readonly workerId: string;
  readonly model: string;
  readonly #socket: WebSocket;
  readonly #listener: LinkListener;
  readonly #settings: LinkSettings;
  readonly #clock: Clock;
  readonly #heartbeat: Timer;
  #stall: Timer | undefined;
  #sentFrames = 0;
  #ackedFrames = 0;
  /** When the first frame that is not acknowledged was sent. */
  #owedSinceMs = 0;
  #takenSample = 0;
  #heardMs: number;
  #pingedMs: number;
  #held = false;
  #closing = false;

  /** Use `dialWorker`. */
  constructor(
    socket: WebSocket,
    model: string,
    target: LinkTarget,
    listener: LinkListener,
    settings: LinkSettings,
    clock: Clock,
  ) {
    this.#socket = socket;
    this.model = model;
    this.workerId = target.workerId;
    this.#listener = listener;
    this.#settings = settings;
    this.#clock = clock;
    this.#heardMs = clock.now();
    this.#pingedMs = this.#heardMs;
    socket.on('message', (data: Buffer) => this.#onMessage(data));
    socket.on('pong', () => {
      this.#heardMs = clock.now();
    });
    socket.on('close', (code) => this.lose(`closed ${code}`));
    const beatMs = Math.min(settings.heartbeatMs, MUTE_MS / 6);
    this.#heartbeat = clock.every(beatMs, () => this.#beat());
  }

  start(utterance: number, fromSample: number, how: LinkStart = {}): void {
    this.#command({ type: 'start', utterance, fromSample, ...how });
  }

  audio(pcm: Buffer): void {
    this.#send(pcm);
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
  }

  /** Ends the link at once and tells the listener, unless it was closed before. */
  lose(cause: string): void {
    if (this.#closing) return;
    this.#stop();
    this.#socket.terminate();
    this.#listener.onLost(cause);
  }

  #command(command: LinkCommand): void {
    this.#send(JSON.stringify(command));
  }

  #send(frame: Buffer | string): void {
    this.#socket.send(frame);
    if (this.#sentFrames === this.#ackedFrames) this.#owedSinceMs = this.#clock.now();
    this.#sentFrames += 1;
    if (!this.#held && this.#isOver(this.#settings.inboundQueueMax, MAX_QUEUED_BYTES)) this.#hold();
  }

  #onMessage(data: Buffer): void {
    if (this.#closing) return;
    this.#heardMs = this.#clock.now();
    const result = LinkEvent.safeParse(parseJson(data));
    if (!result.success) return this.lose('unreadable event');
    const event = result.data;
    switch (event.type) {
      case 'ack':
        this.#listener.onSettled(event.sample);
        this.#listener.onTaken(event.takenSample, event.workMs);
        return this.#onAck(event.frames, event.takenSample);
      case 'draining':
        return this.#listener.onDraining(event.cause);
      case 'ready':
      case 'refused':
        return this.lose(`unexpected ${event.type}`);
      case 'partial':
      case 'final':
      case 'dropped':
      case 'failed':
      case 'speech_started':
      case 'speech_ended':
        return this.#listener.onUtterance(event);
    }
  }

  #isOver(frames: number, bytes: number): boolean {
    return this.#sentFrames - this.#ackedFrames > frames || this.#socket.bufferedAmount > bytes;
  }

  #hold(): void {
    this.#held = true;
    this.#armStall();
    this.#listener.onCongestion(true);
  }

  #onAck(frames: number, takenSample: number): void {
    // An engine that works on a long frame gets on, though no frame is done yet.
    if (frames === this.#ackedFrames && takenSample === this.#takenSample) return;
    this.#ackedFrames = frames;
    this.#takenSample = takenSample;
    if (!this.#held) return;
    this.#stall?.cancel();
    if (this.#isOver(this.#settings.inboundQueueMax / 2, MAX_QUEUED_BYTES / 2))
      return this.#armStall();
    this.#held = false;
    this.#listener.onCongestion(false);
  }

  #armStall(): void {
    const { stallMs } = this.#settings;
    this.#stall = this.#clock.after(stallMs, () => {
      const isSilent = this.#clock.now() - this.#heardMs >= stallMs;
      if (isSilent) this.lose('stalled');
      else this.#listener.onStalled();
    });
  }

  #beat(): void {
    const nowMs = this.#clock.now();
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= 2 * this.#settings.heartbeatMs) return this.lose('no answer to ping');
    const owed = this.#sentFrames > this.#ackedFrames && nowMs - this.#owedSinceMs >= MUTE_MS;
    if (owed && silentMs >= MUTE_MS) return this.lose('mute');
    if (nowMs - this.#pingedMs < this.#settings.heartbeatMs) return;
    this.#pingedMs = nowMs;
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
    if (!URL.canParse(`ws://${target.address}${LINK_PATH}`)) {
      return reject(new LinkRefused('unreachable', `bad address ${target.address}`));
    }
    const socket = new WebSocket(`ws://${target.address}${LINK_PATH}`, {
      perMessageDeflate: false,
      maxPayload: MAX_EVENT_BYTES,
      headers: target.traceparent === undefined ? {} : { traceparent: target.traceparent },
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
      const lease = { token: target.token, epoch: target.epoch, tenant: target.tenantId };
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
      resolve(new WorkerLink(socket, result.data.model, target, listener, settings, clock));
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
