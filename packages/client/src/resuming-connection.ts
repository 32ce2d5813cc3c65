import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import { backoffMs } from '@voice-fleet/runtime/backoff';
import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import type { ConnectionMarks } from './marks.ts';
import {
  failureOfClose,
  failureOfFrame,
  YapConnectionClosed,
  YapProtocolError,
  YapRejected,
  YapResumeFailed,
  YapResumeRefused,
  YapTimeout,
} from './yap-errors.ts';
import {
  type YapClose,
  type YapDial,
  type YapRequestOptions,
  type YapSocket,
  yapRequest,
} from './yap-socket.ts';

const REDIAL_BASE_MS = 100;
const REDIAL_CAP_MS = 2_000;
/** A dial to a server that does not answer must leave time for the others. */
const REDIAL_TIMEOUT_MS = 5_000;
/** Connections that end sooner are lost in quick succession; so many of them are redialed without a pause. */
const STEADY_MS = 5_000;
const QUICK_LOSSES = 3;
const HEARTBEAT_MS = 1_000;
/** A connection that was quiet for so long is pinged. */
const QUIET_MS = 3_000;
/** A ping that nothing answers for so long: the server or the network is gone, and no close will ever come. */
const MUTE_MS = 5_000;

/** End of the session, or a fault that another connection would meet again. 4003 counts from the session's start. */
const LAST_CODES: readonly number[] = [1000, 1002, 1003, 1007, 1008, 1009, 4000, 4003, 4006];
const NO_CLOSE: YapClose = { code: 1006, reason: '' };

export type OpenUtterance = NonNullable<
  Extract<YapServerFrame, { type: 'session.resumed' }>['payload']['open']
>;

export interface ResumingOptions extends Omit<YapRequestOptions, 'url' | 'resumable' | 'resume'> {
  /** Gateways of one fleet, dialled in turn. */
  readonly urls: readonly URL[];
  readonly clock: Clock;
  readonly dial: YapDial;
  readonly random: () => number;
  readonly connectTimeoutMs: number;
  readonly closeTimeoutMs: number;
}

export interface ResumingListener {
  /** Every frame of the session once and in order, however often it was sent. */
  onFrame(frame: YapServerFrame): void;
  onLost(): void;
  /** The session goes on over another connection; `open` is all that the server knows of an utterance. */
  onResumed(open: OpenUtterance | undefined): void;
  /** The session is over; comes once, and no frame comes after it. */
  onEnd(error: Error): void;
}

interface Opening {
  resolve(): void;
  reject(error: Error): void;
}

/** One resumable session over as many connections as it takes. Knows numbers and tokens, nothing of utterances. */
export class ResumingConnection {
  readonly marks: ConnectionMarks;
  /** Resolves when the session is over and the socket gone. Never rejects. */
  readonly closed: Promise<YapClose>;
  readonly #options: ResumingOptions;
  readonly #clock: Clock;
  readonly #listener: ResumingListener;
  readonly #stop = new AbortController();
  #onClosed: (close: YapClose) => void = () => {};
  #socket: YapSocket | undefined;
  #opening: Opening | undefined;
  /** Why the present connection will end, where more is known than a close code. */
  #fault: Error | undefined;
  #heartbeat: Timer | undefined;
  #closing: Timer | undefined;
  #heardMs = 0;
  #pingedMs: number | undefined;
  #upMs: number | undefined;
  #quickLosses = 0;
  #dials = 0;
  #token: string | undefined;
  #tokenTtlMs = 0;
  #lastSeq = 0;
  #lastConnection = false;

  constructor(options: ResumingOptions, listener: ResumingListener) {
    this.#options = options;
    this.#clock = options.clock;
    this.#listener = listener;
    this.marks = { dialMs: this.#clock.now() };
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** A connection is there, and the server has said what it knows. */
  get up(): boolean {
    return this.#upMs !== undefined;
  }

  /** Written, but not yet taken by the network. */
  get bufferedBytes(): number {
    return this.#socket?.bufferedBytes ?? 0;
  }

  /** Dials each address once, until one admits the session. */
  async open(): Promise<void> {
    const { urls, connectTimeoutMs, waitS = 0 } = this.#options;
    for (let left = urls.length; ; left--) {
      try {
        return await this.#dial(connectTimeoutMs + waitS * 1000);
      } catch (error) {
        // A full fleet is as full behind its other addresses.
        const turnedAway = error instanceof YapRejected && error.reason !== 'unavailable';
        if (left <= 1 || turnedAway || this.#stop.signal.aborted || isLast(error)) throw error;
      }
    }
  }

  /** Without effect while there is no connection: `onResumed` is the moment to send again. */
  send(data: string): void {
    if (this.up) this.#socket?.send(data);
  }

  /** The session ends with the present connection, however that ends. */
  endWithConnection(): void {
    this.#lastConnection = true;
  }

  /** Gives up the present connection, and dials anew. */
  redial(error: Error): void {
    this.#gone(error, NO_CLOSE);
  }

  /** Ends the session: closes the connection, or stops looking for one. */
  end(error: Error, close = NO_CLOSE): void {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort(error);
      this.#down();
      this.#opening?.reject(error);
      this.#listener.onEnd(error);
    }
    const socket = this.#socket;
    if (socket === undefined) return this.#over(close);
    socket.close(1000);
    this.#closing ??= this.#clock.after(this.#options.closeTimeoutMs, () => socket.terminate());
  }

  #dial(timeoutMs: number): Promise<void> {
    const { urls, dial } = this.#options;
    const url = urls[this.#dials % urls.length];
    if (url === undefined) throw new Error('No address to dial.');
    this.#dials += 1;
    const resume =
      this.#token === undefined ? undefined : { token: this.#token, lastSeq: this.#lastSeq };
    const request = yapRequest({ ...this.#options, url, resumable: true, resume });
    return new Promise((resolve, reject) => {
      const awaited = resume ? 'session.resumed' : 'session.created';
      const timer = this.#clock.after(timeoutMs, () =>
        this.#gone(new YapTimeout(awaited, timeoutMs), NO_CLOSE),
      );
      this.#fault = undefined;
      this.#opening = {
        resolve: () => {
          timer.cancel();
          this.#opening = undefined;
          resolve();
        },
        reject: (error) => {
          timer.cancel();
          this.#opening = undefined;
          reject(error);
        },
      };
      // What a connection says that was given up is not heard any more.
      const mine = (): boolean => this.#socket === socket;
      const socket = dial(request, {
        onOpen: () => {
          this.marks.openMs ??= this.#clock.now();
        },
        onFrame: (frame) => {
          if (mine()) this.#receive(frame);
        },
        onPong: () => {
          if (mine()) this.#heard();
        },
        onFault: (error) => {
          if (mine()) this.#gone(this.#fault ?? error, NO_CLOSE);
        },
        onClose: (close) => {
          if (!mine()) return;
          const { code, reason } = close;
          this.#gone(this.#fault ?? failureOfClose(code, reason, this.up), close);
        },
      });
      this.#socket = socket;
    });
  }

  #receive(frame: YapServerFrame | YapProtocolError): void {
    if (this.#stop.signal.aborted) return;
    if (frame instanceof YapProtocolError) return this.end(frame);
    this.#heard();
    const { seq } = frame;
    if (seq !== undefined) {
      if (seq <= this.#lastSeq) return;
      if (seq > this.#lastSeq + 1) {
        const missing = `frame ${seq} came after frame ${this.#lastSeq}`;
        return this.end(new YapProtocolError(`The server left out frames: ${missing}.`));
      }
      this.#lastSeq = seq;
    }
    if (frame.type === 'error') {
      const failure = failureOfFrame(frame);
      // The close code that follows says less, and operators may change it.
      if (isLast(failure)) this.#fault = failure;
      // A numbered one is not about this connection, but repeated from an older one.
      if (!this.up && seq === undefined) return this.#gone(failure, NO_CLOSE);
    }
    if (frame.type === 'session.created' || frame.type === 'session.resumed') {
      const { resume } = frame.payload;
      if (resume === undefined) {
        return this.end(new YapProtocolError('The server offers no resumable sessions.'));
      }
      this.#token = resume.token;
      this.#tokenTtlMs = resume.ttl_s * 1000;
      this.#began();
    }
    this.#listener.onFrame(frame);
    if (frame.type === 'session.resumed') this.#listener.onResumed(frame.payload.open);
  }

  #began(): void {
    const nowMs = this.#clock.now();
    this.marks.createdMs ??= nowMs;
    this.#upMs = nowMs;
    this.#heartbeat?.cancel();
    this.#heartbeat = this.#clock.every(HEARTBEAT_MS, () => this.#beat());
    this.#opening?.resolve();
  }

  #heard(): void {
    this.#heardMs = this.#clock.now();
    this.#pingedMs = undefined;
  }

  #beat(): void {
    const nowMs = this.#clock.now();
    if (this.#pingedMs !== undefined) {
      // Counted from the ping, as this process may have slept itself.
      if (nowMs - this.#pingedMs >= MUTE_MS) this.redial(new YapTimeout('any answer', MUTE_MS));
      return;
    }
    if (nowMs - this.#heardMs < QUIET_MS) return;
    this.#pingedMs = nowMs;
    this.#socket?.ping();
  }

  #down(): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
    this.#pingedMs = undefined;
    this.#upMs = undefined;
  }

  #gone(error: Error, close: YapClose): void {
    const socket = this.#socket;
    const upMs = this.#upMs;
    this.#socket = undefined;
    this.#down();
    socket?.terminate();
    if (this.#stop.signal.aborted) return this.#over(close);
    if (this.#opening) return this.#opening.reject(error);
    if (upMs === undefined) return;
    if (this.#lastConnection || isLast(error)) return this.end(error, close);
    const quick = this.#clock.now() - upMs < STEADY_MS;
    this.#quickLosses = quick ? this.#quickLosses + 1 : 0;
    this.#listener.onLost();
    void this.#redial(error);
  }

  /** Never rejects: what it comes to is told to the listener. */
  async #redial(loss: Error): Promise<void> {
    const { random } = this.#options;
    const untilMs = this.#clock.now() + this.#tokenTtlMs;
    let cause: unknown = loss;
    try {
      for (let turn = Math.max(0, this.#quickLosses - QUICK_LOSSES); ; turn++) {
        const pauseMs = turn === 0 ? 0 : backoffMs(turn - 1, REDIAL_BASE_MS, REDIAL_CAP_MS, random);
        const leftMs = untilMs - this.#clock.now() - pauseMs;
        if (leftMs <= 0) throw gaveUp(this.#tokenTtlMs, cause);
        if (pauseMs > 0) await sleep(this.#clock, pauseMs, this.#stop.signal);
        try {
          return await this.#dial(Math.min(leftMs, REDIAL_TIMEOUT_MS));
        } catch (error) {
          if (this.#stop.signal.aborted || isLast(error)) throw error;
          cause = error;
        }
      }
    } catch (error) {
      this.end(error as Error);
    }
  }

  #over(close: YapClose): void {
    this.#closing?.cancel();
    this.marks.closedMs ??= this.#clock.now();
    this.#onClosed(close);
  }
}

/** Another connection would end the same way; capacity and limits may be a matter of the lease of the connection that was lost. */
function isLast(error: unknown): boolean {
  if (error instanceof YapRejected) return error.reason === 'auth' || error.reason === 'quota';
  if (error instanceof YapConnectionClosed) return LAST_CODES.includes(error.code);
  return error instanceof YapProtocolError || error instanceof YapResumeRefused;
}

function gaveUp(ttlMs: number, cause: unknown): YapResumeFailed {
  const last = cause instanceof Error ? ` Last: ${cause.message}` : '';
  return new YapResumeFailed(
    `No server could be reached for ${ttlMs / 1000} s, as long as the session could be taken up again.${last}`,
    { cause },
  );
}
