import { type YapClientType, YapServerFrame } from '@voice-fleet/protocol/yap';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import { type RawData, WebSocket } from 'ws';
import type { ConnectionMarks } from './marks.ts';
import {
  failureOfClose,
  failureOfHttpStatus,
  YapCancelled,
  YapProtocolError,
  YapUnreachable,
} from './yap-errors.ts';
import { YapUtterance, type YapUtteranceHandlers } from './yap-utterance.ts';
import { type AwaitFrame, FrameWaiters, withTimeout } from './yap-wait.ts';

const MAX_FRAME_BYTES = 32 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const REPLY_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;

export interface YapConnectOptions {
  /** From `parseServerUrl`, or any ws(s) URL. */
  readonly url: URL;
  readonly apiKey?: string | undefined;
  /** Header by default: a query ends up in access logs. */
  readonly keyIn?: 'header' | 'query' | undefined;
  /** Covers dialling and the wait for `session.created`. */
  readonly connectTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Aborting fails everything awaited with the signal's reason and closes the socket. */
  readonly signal?: AbortSignal | undefined;
  /** Sees every frame, the first one included. */
  readonly onFrame?: ((frame: YapServerFrame) => void) | undefined;
}

export interface YapClose {
  readonly code: number;
  readonly reason: string;
}

/** One connection to `/api/asr-streaming`. Every wait ends by frame, error frame, close or timeout. */
export class YapClient {
  readonly marks: ConnectionMarks;
  /** Resolves when the socket is gone, whoever closed it. Never rejects. */
  readonly closed: Promise<YapClose>;
  readonly #clock: Clock;
  readonly #socket: WebSocket;
  readonly #waiters: FrameWaiters;
  readonly #onFrame: (frame: YapServerFrame) => void;
  #utterance: YapUtterance | undefined;
  #failure: Error | undefined;
  #sessionId = 'unknown';
  #requests = 0;

  private constructor(options: YapConnectOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#waiters = new FrameWaiters(this.#clock);
    this.#onFrame = options.onFrame ?? (() => {});
    this.marks = { dialMs: this.#clock.now() };
    this.#socket = dial(options);
    this.closed = this.#listen(this.#socket, options.signal);
  }

  /** Resolves when `session.created` has arrived. */
  static async connect(options: YapConnectOptions): Promise<YapClient> {
    options.signal?.throwIfAborted();
    const client = new YapClient(options);
    try {
      const created = await client.waitFor({
        type: 'session.created',
        timeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
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
      send: (type, payload) => this.send(type, requestId, payload),
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

  #listen(socket: WebSocket, signal: AbortSignal | undefined): Promise<YapClose> {
    const onAbort = (): void => {
      this.#fail(signal?.reason as Error);
      void this.close();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('open', () => {
      this.marks.openMs = this.#clock.now();
    });
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('unexpected-response', (_request, response) => {
      this.#fail(failureOfHttpStatus(response.statusCode ?? 0));
      socket.terminate();
    });
    socket.on('error', (cause) => this.#fail(new YapUnreachable(cause.message, { cause })));
    return new Promise((resolve) => {
      socket.on('close', (code, reasonBytes) => {
        const reason = reasonBytes.toString();
        signal?.removeEventListener('abort', onAbort);
        this.marks.closedMs = this.#clock.now();
        this.#fail(failureOfClose(code, reason, this.marks.createdMs !== undefined));
        resolve({ code, reason });
      });
    });
  }

  #receive(data: RawData, isBinary: boolean): void {
    const frame = parseFrame(data, isBinary);
    if (frame instanceof YapProtocolError) {
      this.#fail(frame);
      void this.close();
      return;
    }
    if (frame.type === 'session.created') this.marks.createdMs ??= this.#clock.now();
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

function dial(options: YapConnectOptions): WebSocket {
  const { apiKey, keyIn = 'header' } = options;
  const url = new URL(options.url);
  if (apiKey && keyIn === 'query') url.searchParams.set('api_key', apiKey);
  // ws turns Nagle's algorithm off by itself; compressing base64 audio costs time and gains little.
  return new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
    ...(apiKey && keyIn === 'header' ? { headers: { 'X-API-Key': apiKey } } : {}),
  });
}

function parseFrame(data: RawData, isBinary: boolean): YapServerFrame | YapProtocolError {
  if (isBinary) return new YapProtocolError('The server sent a binary frame.');
  let json: unknown;
  try {
    json = JSON.parse(data.toString());
  } catch {
    return new YapProtocolError('The server sent a frame that is not JSON.');
  }
  const parsed = YapServerFrame.safeParse(json);
  if (parsed.success) return parsed.data;
  const type = (json as { type?: unknown } | null)?.type;
  return new YapProtocolError(
    `The server sent a frame of type ${JSON.stringify(type)} that is not of the yap dialect.`,
  );
}
