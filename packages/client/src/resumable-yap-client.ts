import type { YapClientType, YapServerFrame } from '@voice-fleet/protocol/yap';
import { type Clock, systemClock, type Timer } from '@voice-fleet/runtime/clock';
import { ContinuityMeter, type YapContinuity } from './continuity.ts';
import type { ConnectionMarks } from './marks.ts';
import { type OpenUtterance, ResumingConnection } from './resuming-connection.ts';
import { UtteranceOutbox } from './utterance-outbox.ts';
import type { YapConnectOptions } from './yap-client.ts';
import { YapCancelled, YapConnectionClosed, YapProtocolError, YapTimeout } from './yap-errors.ts';
import { dialYap, type YapClose, type YapDial } from './yap-socket.ts';
import { YapUtterance, type YapUtteranceHandlers } from './yap-utterance.ts';
import { type AwaitFrame, FrameWaiters, withTimeout } from './yap-wait.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const REPLY_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** The rest of what a server missed comes at once. */
const FENCE_TIMEOUT_MS = 10_000;
/** Asked and not yet answered. */
const MAX_REQUESTS = 256;

export interface ResumableYapOptions extends Omit<YapConnectOptions, 'url' | 'acks'> {
  /** Gateways of one fleet, or one address before all of them. They are dialled in turn. */
  readonly urls: readonly URL[];
  /** For tests: what is used instead of the network and of chance. */
  readonly dial?: YapDial | undefined;
  readonly random?: (() => number) | undefined;
}

interface Request {
  readonly type: YapClientType;
  readonly requestId: string;
  readonly payload: object;
}

interface Current {
  readonly utterance: YapUtterance;
  readonly outbox: UtteranceOutbox;
}

/**
 * A session on `/api/asr-streaming` that survives its connections: utterances go on where they were, and callers see a pause.
 * It ends by `end`, `close`, the signal, a close that no other connection would mend, a refused resume, or when no server could
 * be reached for as long as the session could be taken up again.
 */
export class ResumableYapClient {
  readonly #options: ResumableYapOptions;
  readonly #clock: Clock;
  readonly #connection: ResumingConnection;
  readonly #waiters: FrameWaiters;
  readonly #continuity = new ContinuityMeter();
  readonly #requests = new Map<string, Request>();
  #current: Current | undefined;
  #failure: Error | undefined;
  #sessionId = 'unknown';
  #ids = 0;
  /** Behind the answer to this ping, all that the server said before the resume has come. */
  #fence: { readonly requestId: string; readonly timer: Timer } | undefined;
  /** What the server had open when it was resumed, if that is not ours. */
  #stale = false;

  private constructor(options: ResumableYapOptions) {
    if (options.urls.length === 0) throw new Error('No address to dial.');
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#waiters = new FrameWaiters(this.#clock);
    const { dial = dialYap, random = Math.random } = options;
    this.#connection = new ResumingConnection(
      {
        ...options,
        clock: this.#clock,
        dial,
        random,
        connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        closeTimeoutMs: CLOSE_TIMEOUT_MS,
      },
      {
        onFrame: (frame) => this.#receive(frame),
        onLost: () => this.#onLost(),
        onResumed: (open) => this.#onResumed(open),
        onEnd: (error) => this.#onEnd(error),
      },
    );
  }

  /** Resolves when the session is admitted; dials each address once at the most. */
  static async connect(options: ResumableYapOptions): Promise<ResumableYapClient> {
    options.signal?.throwIfAborted();
    const client = new ResumableYapClient(options);
    const onAbort = (): void => client.#connection.end(options.signal?.reason as Error);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    void client.closed.then(() => options.signal?.removeEventListener('abort', onAbort));
    try {
      await client.#connection.open();
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** Of the first connection, and of the end. */
  get marks(): ConnectionMarks {
    return this.#connection.marks;
  }

  /** Resolves when the session is over, whoever ended it. Never rejects. */
  get closed(): Promise<YapClose> {
    return this.#connection.closed;
  }

  get continuity(): YapContinuity {
    return this.#continuity.report;
  }

  /**
   * Opens an utterance, with or without a connection just now; one that is still running is given up (barge-in). Its `append`
   * throws YapBufferFull when 120 s of audio wait for a connection; that piece may be appended again later.
   */
  utterance(handlers: YapUtteranceHandlers = {}): YapUtterance {
    if (this.#failure) throw this.#failure;
    this.#drop(new YapCancelled('Another utterance was started.'));
    // Ids are never used twice: after a loss they tell which utterance the server knows.
    const requestId = this.#nextId('utt');
    const outbox = new UtteranceOutbox({
      clock: this.#clock,
      send: (type, payload) => this.#send(type, requestId, payload),
      bufferedBytes: () => this.#connection.bufferedBytes,
    });
    const utterance = new YapUtterance({ requestId, clock: this.#clock, handlers, output: outbox });
    this.#current = { utterance, outbox };
    if (this.#ready) outbox.begin(false);
    return utterance;
  }

  /** Round trip of an envelope `ping` in milliseconds; one that was lost with its connection is sent again. */
  async ping(timeoutMs = REPLY_TIMEOUT_MS): Promise<number> {
    const sentMs = this.#clock.now();
    await this.#request('ping', {}, { type: 'pong', timeoutMs });
    return this.#clock.now() - sentMs;
  }

  /** Asks for the served model, or checks that `model` is it; resolves with its name. */
  async configure(model?: string, timeoutMs = REPLY_TIMEOUT_MS): Promise<string> {
    const payload = model === undefined ? {} : { model };
    const awaits = { type: 'session.updated', timeoutMs } as const;
    return (await this.#request('session.update', payload, awaits)).payload.model;
  }

  /** Gives up the running utterance; resolves with the reason the server echoes. */
  async cancel(reason?: string, timeoutMs = REPLY_TIMEOUT_MS): Promise<string> {
    this.#drop(new YapCancelled('The utterance was cancelled.'));
    const payload = reason === undefined ? {} : { reason };
    return (await this.#request('cancel', payload, { type: 'cancelled', timeoutMs })).payload
      .reason;
  }

  /** Asks the server to end the session, as soon as there is a connection, and waits until it has closed the socket. */
  async end(timeoutMs = REPLY_TIMEOUT_MS): Promise<YapClose> {
    if (this.#failure) throw this.#failure;
    this.marks.endSentMs = this.#clock.now();
    this.#ask({ type: 'end', requestId: this.#nextId('end'), payload: {} });
    return await withTimeout(this.#clock, this.closed, 'the close after "end"', timeoutMs);
  }

  /** Ends the session from this side at once; the server lets it go in its own time. Never throws. */
  async close(): Promise<YapClose> {
    this.#connection.end(new YapConnectionClosed(1000, 'closed by this client'));
    return await this.closed;
  }

  /** There is a connection, and it is known what the server lacks. */
  get #ready(): boolean {
    return this.#connection.up && this.#fence === undefined;
  }

  async #request<T extends YapServerFrame['type']>(
    type: YapClientType,
    payload: object,
    awaits: AwaitFrame<T>,
  ): Promise<Extract<YapServerFrame, { type: T }>> {
    if (this.#failure) throw this.#failure;
    const requestId = this.#nextId(type);
    this.#ask({ type, requestId, payload });
    try {
      return await this.#waiters.next({ ...awaits, requestId });
    } finally {
      this.#requests.delete(requestId);
    }
  }

  #ask(request: Request): void {
    if (this.#requests.size >= MAX_REQUESTS) throw new Error('Too many requests wait for answers.');
    this.#requests.set(request.requestId, request);
    if (this.#ready) this.#write(request);
  }

  #write({ type, requestId, payload }: Request): void {
    if (type === 'end') this.#connection.endWithConnection();
    this.#send(type, requestId, payload);
  }

  #send(type: YapClientType, requestId: string, payload: object): void {
    const envelope = { type, session_id: this.#sessionId, request_id: requestId, payload };
    this.#connection.send(JSON.stringify(envelope));
  }

  #receive(frame: YapServerFrame): void {
    switch (frame.type) {
      case 'session.created':
      case 'session.resumed':
        this.#sessionId = frame.payload.id;
        break;
      case 'ack':
        this.#onAck(frame);
        break;
      case 'status':
        if (frame.payload.kind === 'overload_drop') this.#toUtterance(frame);
        else this.#options.onStatus?.(frame.payload);
        break;
      case 'pong':
        this.#requests.delete(frame.request_id);
        if (frame.request_id === this.#fence?.requestId) this.#catchUp();
        break;
      default:
        this.#requests.delete(frame.request_id);
        this.#toUtterance(frame);
    }
    this.#waiters.receive(frame);
    this.#options.onFrame?.(frame);
  }

  #onAck({ request_id, payload }: Extract<YapServerFrame, { type: 'ack' }>): void {
    this.#continuity.acceptedSamples = payload.accepted_samples;
    const { keep_from_sample: keepFrom } = payload;
    if (keepFrom === undefined || request_id !== this.#current?.utterance.requestId) return;
    this.#current.outbox.keepFrom(keepFrom);
  }

  #toUtterance(frame: YapServerFrame): void {
    const current = this.#current;
    if (current === undefined) return;
    const { utterance } = current;
    const anyones = frame.type === 'error' && frame.request_id === 'unknown';
    if (frame.request_id !== utterance.requestId && !anyones) return;
    if (frame.type === 'token' && frame.payload.text.trim() !== '') {
      this.#continuity.textCame(this.#clock.now());
    }
    utterance.receive(frame);
    if (utterance.settled && this.#current === current) this.#forget();
  }

  /** Fails the running utterance. */
  #drop(error: Error): void {
    const { utterance } = this.#current ?? {};
    this.#forget();
    utterance?.fail(error);
  }

  #forget(): void {
    this.#current?.outbox.stop();
    this.#current = undefined;
    this.#continuity.utteranceOver();
  }

  #onLost(): void {
    this.#fence?.timer.cancel();
    this.#fence = undefined;
    if (this.#current === undefined) return;
    const { utterance, outbox } = this.#current;
    outbox.hold();
    this.#continuity.lost(utterance.marks.tokenMs.at(-1) ?? utterance.marks.startMs);
  }

  #onResumed(open: OpenUtterance | undefined): void {
    this.#continuity.resumes += 1;
    const requestId = this.#nextId('fence');
    const timer = this.#clock.after(FENCE_TIMEOUT_MS, () =>
      this.#connection.redial(new YapTimeout('the frames missed', FENCE_TIMEOUT_MS)),
    );
    this.#fence = { requestId, timer };
    this.#send('ping', requestId, {});
    const ours = open !== undefined && open.request_id === this.#current?.utterance.requestId;
    this.#stale = open !== undefined && !ours;
    if (!ours) return;
    this.#stale = !this.#attempt((outbox) => outbox.resume(open.from_sample));
  }

  /** All that the server said is here: now it is known what it has never heard. */
  #catchUp(): void {
    this.#fence?.timer.cancel();
    this.#fence = undefined;
    let cancelled = false;
    for (const request of this.#requests.values()) {
      cancelled ||= request.type === 'cancel' || request.type === 'end';
      this.#write(request);
    }
    const { utterance, outbox } = this.#current ?? {};
    if (outbox?.live) return;
    if (utterance?.text) {
      this.#drop(new YapProtocolError('The server has lost the utterance that it was telling.'));
    }
    const began = this.#attempt((held) => held.begin(true));
    // Nobody waits for it any more, and while it is open, it costs a place.
    if (this.#stale && !began && !cancelled) this.#send('cancel', this.#nextId('cancel'), {});
  }

  /** False when there is no utterance, or it has failed by this. */
  #attempt(step: (outbox: UtteranceOutbox) => void): boolean {
    if (this.#current === undefined) return false;
    try {
      step(this.#current.outbox);
      return true;
    } catch (error) {
      this.#drop(error as Error);
      return false;
    }
  }

  #onEnd(error: Error): void {
    this.#failure = error;
    this.#fence?.timer.cancel();
    this.#fence = undefined;
    this.#requests.clear();
    this.#waiters.fail(error);
    this.#drop(error);
  }

  #nextId(kind: string): string {
    this.#ids += 1;
    return `${kind}-${this.#ids}`;
  }
}
