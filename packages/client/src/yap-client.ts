import type { YapClientType, YapServerFrame } from '@voice-fleet/protocol/yap';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import { encodedAudio } from './encoded-audio.ts';
import type { ConnectionMarks } from './marks.ts';
import { failureOfClose, YapCancelled, YapProtocolError } from './yap-errors.ts';
import {
  dialYap,
  type YapClose,
  type YapRequestOptions,
  type YapSocket,
  yapRequest,
} from './yap-socket.ts';
import { type YapNotice, YapUtterance, type YapUtteranceHandlers } from './yap-utterance.ts';
import { type AwaitFrame, FrameWaiters, withTimeout } from './yap-wait.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const REPLY_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;

export interface YapConnectOptions extends Omit<YapRequestOptions, 'resumable' | 'resume'> {
  /** Covers dialling and the wait for `session.created`; `waitS` comes on top. */
  readonly connectTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Aborting fails everything awaited with the signal's reason and closes the socket. */
  readonly signal?: AbortSignal | undefined;
  /** Sees every frame, the first one included. */
  readonly onFrame?: ((frame: YapServerFrame) => void) | undefined;
  readonly onStatus?: ((status: YapNotice) => void) | undefined;
}

/** One connection to `/api/asr-streaming`. Every wait ends by frame, error frame, close or timeout. */
export class YapClient {
  readonly marks: ConnectionMarks;
  /** Resolves when the socket is gone, whoever closed it. Never rejects. */
  readonly closed: Promise<YapClose>;
  readonly #clock: Clock;
  readonly #socket: YapSocket;
  readonly #waiters: FrameWaiters;
  readonly #onFrame: (frame: YapServerFrame) => void;
  readonly #onStatus: (status: YapNotice) => void;
  #utterance: YapUtterance | undefined;
  #failure: Error | undefined;
  #sessionId = 'unknown';
  #requests = 0;

  private constructor(options: YapConnectOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#waiters = new FrameWaiters(this.#clock);
    this.#onFrame = options.onFrame ?? (() => {});
    this.#onStatus = options.onStatus ?? (() => {});
    this.marks = { dialMs: this.#clock.now() };
    let onClosed = (_close: YapClose): void => {};
    this.closed = new Promise((resolve) => {
      onClosed = resolve;
    });
    this.#socket = this.#dial(options, onClosed);
  }

  /** Resolves when `session.created` has arrived. */
  static async connect(options: YapConnectOptions): Promise<YapClient> {
    options.signal?.throwIfAborted();
    const client = new YapClient(options);
    try {
      const created = await client.waitFor({
        type: 'session.created',
        timeoutMs: (options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS) + (options.waitS ?? 0) * 1000,
        awaited: () =>
          client.marks.openMs === undefined ? 'the connection to open' : 'session.created',
      });
      client.#sessionId = created.payload.id;
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** Opens an utterance; one that is still running is given up, as the server does (barge-in). */
  utterance(handlers: YapUtteranceHandlers = {}, requestId = this.#nextId('utt')): YapUtterance {
    this.#utterance?.fail(new YapCancelled('Another utterance was started.'));
    this.#utterance = new YapUtterance({
      requestId,
      clock: this.#clock,
      handlers,
      output: {
        start: () => this.send('input_audio_buffer.commit', requestId, { final: false }),
        audio: (pcm) =>
          this.send('input_audio_buffer.append', requestId, { audio: encodedAudio(pcm) }),
        finish: () => this.send('input_audio_buffer.commit', requestId, { final: true }),
      },
    });
    return this.#utterance;
  }

  /** Round trip of an envelope `ping`, in milliseconds. */
  async ping(timeoutMs = REPLY_TIMEOUT_MS): Promise<number> {
    const requestId = this.#nextId('ping');
    const sentMs = this.#clock.now();
    this.send('ping', requestId, {});
    await this.waitFor({ type: 'pong', requestId, timeoutMs });
    return this.#clock.now() - sentMs;
  }

  /** Gives up the running utterance; resolves with the reason the server echoes. */
  async cancel(reason?: string, timeoutMs = REPLY_TIMEOUT_MS): Promise<string> {
    const requestId = this.#nextId('cancel');
    this.#utterance?.fail(new YapCancelled('The utterance was cancelled.'));
    this.#utterance = undefined;
    this.send('cancel', requestId, reason === undefined ? {} : { reason });
    const frame = await this.waitFor({ type: 'cancelled', requestId, timeoutMs });
    return frame.payload.reason;
  }

  /** Asks the server to end the session and waits until it has closed the socket. */
  async end(timeoutMs = REPLY_TIMEOUT_MS): Promise<YapClose> {
    this.marks.endSentMs = this.#clock.now();
    this.send('end', this.#nextId('end'), {});
    return await withTimeout(this.#clock, this.closed, 'the close after "end"', timeoutMs);
  }

  /** Closes from this side; a peer that does not answer is dropped. Never throws. */
  async close(timeoutMs = CLOSE_TIMEOUT_MS): Promise<YapClose> {
    this.#socket.close(1000);
    const timer = this.#clock.after(timeoutMs, () => this.#socket.terminate());
    try {
      return await this.closed;
    } finally {
      timer.cancel();
    }
  }

  /** Sends one envelope as it is; throws what ended the connection if it has ended. */
  send(type: YapClientType, requestId: string, payload: object): void {
    const envelope = { type, session_id: this.#sessionId, request_id: requestId, payload };
    this.sendRaw(JSON.stringify(envelope));
  }

  /** Sends anything, valid or not: for tests of the server. A Buffer goes out as a binary frame. */
  sendRaw(data: string | Buffer): void {
    if (this.#failure) throw this.#failure;
    this.#socket.send(data);
  }

  /** The next frame of a type; rejects at an error frame, at the close and in time. */
  async waitFor<T extends YapServerFrame['type']>(
    options: AwaitFrame<T>,
  ): Promise<Extract<YapServerFrame, { type: T }>> {
    if (this.#failure) throw this.#failure;
    return await this.#waiters.next(options);
  }

  #dial(options: YapConnectOptions, onClosed: (close: YapClose) => void): YapSocket {
    const { signal } = options;
    const onAbort = (): void => {
      this.#fail(signal?.reason as Error);
      void this.close();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    return dialYap(yapRequest(options), {
      onOpen: () => {
        this.marks.openMs = this.#clock.now();
      },
      onFrame: (frame) => this.#receive(frame),
      onPong: () => {},
      onFault: (error) => this.#fail(error),
      onClose: (close) => {
        signal?.removeEventListener('abort', onAbort);
        this.marks.closedMs = this.#clock.now();
        this.#fail(failureOfClose(close.code, close.reason, this.marks.createdMs !== undefined));
        onClosed(close);
      },
    });
  }

  #receive(frame: YapServerFrame | YapProtocolError): void {
    if (frame instanceof YapProtocolError) {
      this.#fail(frame);
      void this.close();
      return;
    }
    if (frame.type === 'session.created') this.marks.createdMs ??= this.#clock.now();
    if (frame.type === 'status' && frame.payload.kind !== 'overload_drop') {
      this.#onStatus(frame.payload);
    }
    const ofUtterance =
      frame.request_id === this.#utterance?.requestId ||
      (frame.type === 'error' && frame.request_id === 'unknown');
    if (ofUtterance) this.#utterance?.receive(frame);
    this.#waiters.receive(frame);
    this.#onFrame(frame);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiters.fail(error);
    this.#utterance?.fail(error);
  }

  #nextId(kind: string): string {
    this.#requests += 1;
    return `${kind}-${this.#requests}`;
  }
}
