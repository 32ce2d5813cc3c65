import type { IncomingMessage } from 'node:http';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { requestQuery } from '@voice-fleet/runtime/upgrade';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { WebSocket } from 'ws';
import { admissionOutcome, codeOf } from '../admission-outcome.ts';
import type { Dialect, DialectCodec, PipelineKind } from '../dialects/dialect.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { MoveCause } from '../session/link-holder.ts';
import type { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import type { SessionUsage, UsageOwner } from '../usage/session-usage.ts';
import type { Admission, Admitted } from './admission.ts';
import { clipReason, isResumable } from './close-reason.ts';
import { ConnectionBooks } from './connection-books.ts';
import { EarlyFrames } from './early-frames.ts';
import { Inflow } from './inflow.ts';
import type { Journal } from './journal.ts';
import { MAX_SPOKEN_CHARS, MAX_WAITING_CHARS, Outbox } from './outbox.ts';
import type { Pipeline } from './pipeline.ts';
import type { UpgradeGate } from './upgrade-gate.ts';

/** A client that may resume and leaves so much unread is cut off: it can come back for it. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

export interface ConnectionDeps {
  readonly clock: Clock;
  readonly admission: Admission;
  /** What stands between a session and this connection. */
  readonly pipeline: (kind: PipelineKind | undefined, sink: SessionSink) => Pipeline | undefined;
  /** Opens the books of an admitted session. */
  readonly usage: (admitted: Admitted, owner: UsageOwner) => SessionUsage;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly tracer: Tracer;
  readonly gate: Pick<UpgradeGate, 'admitted'>;
  readonly maxMessageBytes: number;
  /** What a client may send on average; 0 for any amount. */
  readonly maxBytesPerS: number;
  readonly heartbeatMs: number;
}

/** One client's socket: admits it, pumps its frames into the Session and the Session's events back out. */
export class Connection implements SessionSink, UsageOwner {
  readonly #socket: WebSocket;
  readonly #dialect: Dialect;
  readonly #request: IncomingMessage;
  readonly #deps: ConnectionDeps;
  readonly #codec: DialectCodec;
  readonly #outbox: Outbox;
  readonly #inflow: Inflow;
  readonly #early: EarlyFrames;
  readonly #books: ConnectionBooks;
  readonly #closed: Promise<void>;
  readonly #pipeline: Pipeline | undefined;
  #session: Session | undefined;
  #admitted: Admitted | undefined;
  #usage: SessionUsage | undefined;
  #journal: Journal | undefined;
  #acks = false;
  #heartbeat: Timer | undefined;
  #heard = true;
  /** Its client has sent a frame after the greeting, so it has got that. */
  #spoken = false;
  #draining: Timer | undefined;
  #ended: CloseReason | undefined;
  #sessionClosed: Promise<void> = Promise.resolve();

  constructor(socket: WebSocket, dialect: Dialect, request: IncomingMessage, deps: ConnectionDeps) {
    this.#socket = socket;
    this.#dialect = dialect;
    this.#request = request;
    this.#deps = deps;
    this.#codec = dialect.codec(requestQuery(request), request.headers);
    this.#books = new ConnectionBooks(dialect.name, deps, request, this.#codec.wishes);
    this.#inflow = new Inflow(socket, {
      clock: deps.clock,
      bytesPerS: deps.maxBytesPerS,
      onRateHold: () => deps.metrics.sendRateHolds.inc(),
      // What came meanwhile is not heard yet.
      onResume: () => {
        this.#heard = true;
      },
    });
    this.#pipeline = deps.pipeline(dialect.pipeline, this);
    this.#early = new EarlyFrames(this.#inflow.forReason('admission'));
    this.#outbox = new Outbox(
      socket,
      (event) => this.#codec.encode(event),
      () => this.end({ kind: 'slow-reader' }),
      (change) => {
        deps.metrics.outboxWaiting.inc(change);
        this.#pipeline?.onLoad(this.#outbox.load);
      },
      this.#pipeline ? MAX_SPOKEN_CHARS : MAX_WAITING_CHARS,
    );
    // Read from the start, as only a socket that is read tells that its client has gone.
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#heard = true;
      if (this.#ended) return;
      if (!this.#admitted) return this.#early.keep(data, isBinary);
      this.#spoken = true;
      this.#onFrame(this.#admitted.session, data, isBinary);
    });
    socket.on('pong', () => {
      this.#heard = true;
    });
    socket.on('error', (error: Error & { code?: string }) => this.#onSocketError(error.code));
    this.#closed = new Promise((resolve) => {
      socket.once('close', (code) => {
        this.#onClose(code);
        resolve();
      });
    });
  }

  /** Key, limits, slot, worker, greeting; then frames flow. Settles when admitted or refused; never rejects. */
  async admit(): Promise<void> {
    const request = this.#request;
    const { admission, clock, gate } = this.#deps;
    const startedMs = clock.now();
    this.#inflow.watch(request.socket);
    try {
      if (this.#dialect.refuses) throw new VoiceError(this.#dialect.refuses);
      const handshake = this.#dialect.handshake(requestQuery(request), request.headers);
      // A slot was free before the upgrade. If it is gone, the client has no way to hear so but to be cut off: it waits.
      const waitMs =
        this.#dialect.admission === 'upgrade' ? Number.POSITIVE_INFINITY : handshake.waitMs;
      this.#heartbeat = clock.every(this.#deps.heartbeatMs, () => this.#beat());
      const admitted = await admission.admit(
        { ...handshake, waitMs },
        {
          sink: this.#pipeline ?? this,
          chronicle: this.#books.chronicle,
          onSession: (session, principal) => this.#hold(session, principal),
          fail: (error) => this.fail(error),
        },
      );
      if (this.#ended) return this.#books.admission('abandoned');
      gate.admitted(request);
      this.#books.letIn(clock.now() - startedMs, admitted.record?.resumed !== undefined);
      this.#acks = handshake.acks;
      this.#begin(admitted);
    } catch (error) {
      if (this.#ended) return this.#books.admission('abandoned');
      this.#books.admission(admissionOutcome(error), codeOf(error));
      this.fail(error);
    }
  }

  event(event: SessionEvent): void {
    this.#books.told(event);
    if (this.#ended) return;
    if (this.#journal) this.#journal.write(this.#codec.encode(event));
    else this.#outbox.send(event);
    if (this.#draining && !this.#busy) this.end({ kind: 'shutdown' });
  }

  /** Sends what waits, closes the socket and gives the slot back. The first reason counts. */
  end(reason: CloseReason): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#sessionClosed = this.#finish(reason);
  }

  fail(thrown: unknown): void {
    if (!(thrown instanceof VoiceError)) this.#books.log.error({ event: 'error', err: thrown });
    const error =
      thrown instanceof VoiceError ? thrown : new VoiceError('internal', { cause: thrown });
    this.event({ kind: 'error', error });
    if (error.tier === 'fatal') this.end({ kind: 'error', error });
  }

  endWith(error: VoiceError): void {
    this.#session?.endWith(error);
  }

  onBooked(acceptedSamples: number): void {
    if (this.#acks && this.#journal === undefined)
      this.#sendEvent({ kind: 'ack', acceptedSample: acceptedSamples, keep: undefined });
  }

  holdInput(hold: boolean): void {
    if (this.#ended) return;
    if (hold) this.#deps.metrics.inputHolds.inc();
    this.#inflow.hold('worker', hold);
  }

  workerLost(cause: string): void {
    this.#books.workerLost(cause);
  }

  moved(cause: MoveCause, tookMs: number): void {
    this.#books.moved(cause, tookMs);
  }

  /** Tells the client to go elsewhere. One that can resume goes at once, others when their utterance is over, or in time. */
  drain(graceMs: number): void {
    if (this.#ended) return;
    if (this.#admitted === undefined) return this.end({ kind: 'shutdown' });
    this.event({ kind: 'shutdown', graceMs });
    if (this.#journal !== undefined || !this.#busy) return this.end({ kind: 'shutdown' });
    this.#draining = this.#deps.clock.after(graceMs, () => this.end({ kind: 'shutdown' }));
  }

  /** What it has sent and the system has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Settles when the socket is closed and the slot given back. */
  async closed(): Promise<void> {
    await this.#closed;
    await this.#sessionClosed;
  }

  get #busy(): boolean {
    return (this.#pipeline ?? this.#session)?.busy ?? false;
  }

  #hold(session: Session, principal: Principal): void {
    this.#session = session;
    this.#books.named(session, principal);
    this.#pipeline?.attach(session, this.#books.owner(principal.tenantId));
    // Its client has gone while its key was looked up.
    if (this.#ended) this.#sessionClosed = session.close();
  }

  #begin(admitted: Admitted): void {
    const { session, info, record, principal, crowd } = admitted;
    this.#admitted = admitted;
    if (principal.session !== undefined) this.#codec.bind?.(principal.session);
    this.#usage = this.#deps.usage(admitted, this);
    const resumed = record?.resumed;
    this.#books.begun(principal, resumed !== undefined, session.recordedSamples);
    if (resumed) this.#codec.recall?.(resumed.codec);
    this.#journal = record?.journal({
      codec: this.#codec,
      session,
      send: (frame) => this.#sendNow(frame),
      onSaved: (acceptedSample, keep) => {
        this.#usage?.accepted(acceptedSample);
        this.#sendEvent({ kind: 'ack', acceptedSample, keep });
      },
      onFenced: () => this.end({ kind: 'resumed-elsewhere' }),
      confirmed: () => this.#spoken,
    });
    if (record && resumed) {
      const { offer: resume } = record;
      this.#sendEvent({ kind: 'resumed', session: info, resume, from: session.keep });
      for (const frame of resumed.frames) this.#sendNow(frame);
    } else {
      this.event({ kind: 'created', session: info, ...(record && { resume: record.offer }) });
    }
    if (crowd) this.event({ kind: 'warning', limit: 'concurrent_sessions', ...crowd });
    try {
      if (this.#codec.opening) this.#take(session, this.#codec.opening);
    } catch (error) {
      this.fail(error);
    }
    for (const { data, isBinary } of this.#early.take()) this.#onFrame(session, data, isBinary);
  }

  #onFrame(session: Session, data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    session.touch();
    const { maxMessageBytes: max_bytes } = this.#deps;
    try {
      if (data.length > max_bytes && !this.#dialect.boundsFrames) {
        this.#codec.unread?.();
        throw new VoiceError('message_too_large', { details: { max_bytes } });
      }
      this.#take(session, this.#codec.decode(data, isBinary));
    } catch (error) {
      this.fail(error);
    }
  }

  #take(session: Session, command: ClientCommand): void {
    (this.#pipeline ?? session).apply(command);
    if (!this.#books.accepted(session.recordedSamples)) return;
    if (this.#journal === undefined) this.#usage?.accepted(session.recordedSamples);
  }

  /** What is not numbered, as no resume brings it again. */
  #sendEvent(event: SessionEvent): void {
    for (const frame of this.#codec.encode(event)) this.#sendNow(frame);
  }

  /** Frames that are written down already, or need not be. */
  #sendNow(frame: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(frame);
    if (this.#socket.bufferedAmount > MAX_UNREAD_BYTES) this.end({ kind: 'slow-reader' });
  }

  #beat(): void {
    // While the client is not read its pongs cannot be heard.
    if (this.#socket.isPaused) return;
    if (!this.#heard) {
      this.end({ kind: 'unresponsive' });
      return this.#socket.terminate();
    }
    this.#heard = false;
    this.#socket.ping();
  }

  /** A frame that breaks the WebSocket protocol or its limits: `ws` has closed the socket, with its own code. */
  #onSocketError(code: string | undefined): void {
    this.#books.log.debug({ event: 'socket_error', code });
    if (code?.startsWith('WS_ERR'))
      this.end({ kind: 'error', error: new VoiceError('invalid_message') });
  }

  async #finish(reason: CloseReason): Promise<void> {
    this.#heartbeat?.cancel();
    this.#draining?.cancel();
    // First of all: what its worker still says must not be in the last save without having been sent.
    const stopped = this.#pipeline?.stop();
    const closed = this.#session?.close();
    let own = reason.kind !== 'resumed-elsewhere';
    if (!own) this.#journal?.stop();
    else if (this.#journal) own = await this.#journal.close();
    // What could not be saved, or was heard since the last frame, is booked all the same, unless it goes on elsewhere.
    if (own && this.#session) this.#usage?.accepted(this.#session.recordedSamples);
    this.#outbox.flushAll();
    const report = this.#books.over(reason.kind, own && !isResumable(reason));
    if (report) this.#sendEvent(report);
    const { code, reason: text } = this.#codec.close(reason);
    this.#socket.close(code, clipReason(text));
    this.#inflow.stop();
    await Promise.all([stopped, closed, this.#usage?.close()]);
    if (!isResumable(reason)) await this.#admitted?.record?.end();
  }

  #onClose(code: number): void {
    const why = this.#ended;
    if (!why) this.end({ kind: 'gone' });
    const session = this.#admitted?.session;
    if (session) this.#books.accepted(session.recordedSamples);
    this.#books.ended({ code, why, totals: session?.totals });
  }
}
