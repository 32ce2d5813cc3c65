import type { IncomingMessage } from 'node:http';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { WebSocket } from 'ws';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Dialect, DialectCodec } from '../dialects/dialect.ts';
import type { AdmissionOutcome, GatewayMetrics } from '../metrics.ts';
import type { SessionLimits } from '../session/limits.ts';
import type { ConnectLink } from '../session/link.ts';
import { Session, type SessionSink } from '../session/session.ts';
import { Outbox } from './outbox.ts';

/** RFC 6455: a close frame holds 125 bytes, two of them the code. */
const MAX_CLOSE_REASON_BYTES = 123;
/** What a client sends before it is admitted is kept up to here; then it is not read. */
const MAX_EARLY_FRAMES = 256;
const MAX_EARLY_BYTES = 64 * 1024;

export interface ConnectionDeps {
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly authenticator: Authenticator;
  readonly connect: ConnectLink;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly maxMessageBytes: number;
  readonly heartbeatMs: number;
}

/** One client's socket: admits it, pumps its frames into the Session and the Session's events back out. */
export class Connection implements SessionSink {
  readonly #socket: WebSocket;
  readonly #dialect: Dialect;
  readonly #deps: ConnectionDeps;
  readonly #codec: DialectCodec;
  readonly #session: Session;
  readonly #outbox: Outbox;
  readonly #log: Logger;
  readonly #audioSeconds: { inc(seconds: number): void };
  readonly #closed: Promise<void>;
  #heartbeat: Timer | undefined;
  /** Frames that wait for the admission; undefined after it. */
  #early: { readonly data: Buffer; readonly isBinary: boolean }[] | undefined = [];
  #earlyBytes = 0;
  #admittedMs: number | undefined;
  #heard = true;
  #ended: CloseReason | undefined;
  #sessionClosed: Promise<void> = Promise.resolve();

  constructor(sessionId: string, socket: WebSocket, dialect: Dialect, deps: ConnectionDeps) {
    this.#socket = socket;
    this.#dialect = dialect;
    this.#deps = deps;
    this.#codec = dialect.codec();
    this.#log = deps.log.child({ sid: sessionId, protocol: dialect.name });
    this.#audioSeconds = deps.metrics.audioSeconds.labels(dialect.name);
    const { clock, limits, connect } = deps;
    this.#session = new Session({ id: sessionId, clock, limits, connect, sink: this });
    this.#outbox = new Outbox(
      socket,
      (event) => this.#codec.encode(event),
      () => this.end({ kind: 'slow-reader' }),
    );
    // Read from the start, as only a socket that is read tells that its client has gone.
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#early === undefined) this.#onFrame(data, isBinary);
      else this.#keep(this.#early, data, isBinary);
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

  /** Key, slot, worker, greeting; then frames flow. Settles when admitted or refused; never rejects. */
  async admit(request: IncomingMessage): Promise<void> {
    const { authenticator, clock, metrics } = this.#deps;
    const startedMs = clock.now();
    try {
      const url = new URL(request.url ?? '/', 'ws://gateway');
      const { apiKey } = this.#dialect.handshake(url.searchParams, request.headers);
      if (!authenticator.accepts(apiKey)) throw new VoiceError('authentication_failed');
      this.#heartbeat = clock.every(this.#deps.heartbeatMs, () => this.#beat());
      await this.#session.open();
      if (this.#ended) return this.#countAdmission('abandoned');
      this.#admittedMs = clock.now();
      metrics.sessionsActive.labels(this.#dialect.name).inc();
      metrics.admissionSeconds.observe((this.#admittedMs - startedMs) / 1000);
      this.#countAdmission('accepted');
      this.#log.info({ event: 'session_started' });
      const early = this.#early ?? [];
      this.#early = undefined;
      this.#socket.resume();
      for (const { data, isBinary } of early) this.#onFrame(data, isBinary);
    } catch (error) {
      if (this.#ended) return this.#countAdmission('abandoned');
      this.#countAdmission(admissionOutcome(error));
      this.#fail(error);
    }
  }

  event(event: SessionEvent): void {
    if (event.kind === 'error') this.#deps.metrics.errors.labels(event.error.code).inc();
    else if (event.kind === 'dropped')
      this.#deps.metrics.droppedAudioSeconds.inc(event.samples / SAMPLE_RATE);
    if (!this.#ended) this.#outbox.send(event);
  }

  /** Sends what waits, closes the socket and gives the slot back. The first reason counts. */
  end(reason: CloseReason): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#heartbeat?.cancel();
    this.#outbox.flushAll();
    const close = this.#codec.close(reason);
    this.#socket.close(close.code, clip(close.reason));
    this.#socket.resume();
    this.#sessionClosed = this.#session.close();
  }

  holdInput(hold: boolean): void {
    if (this.#ended) return;
    if (!hold) return this.#socket.resume();
    this.#deps.metrics.inputHolds.inc();
    this.#socket.pause();
  }

  workerLost(cause: string): void {
    this.#log.warn({ event: 'worker_lost', cause });
  }

  /** Settles when the socket is closed and the slot given back. */
  async closed(): Promise<void> {
    await this.#closed;
    await this.#sessionClosed;
  }

  #keep(early: { data: Buffer; isBinary: boolean }[], data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    this.#heard = true;
    early.push({ data, isBinary });
    this.#earlyBytes += data.length;
    if (early.length >= MAX_EARLY_FRAMES || this.#earlyBytes > MAX_EARLY_BYTES)
      this.#socket.pause();
  }

  #onFrame(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    this.#heard = true;
    this.#session.touch();
    try {
      if (data.length > this.#deps.maxMessageBytes) {
        throw new VoiceError('message_too_large', {
          details: { max_bytes: this.#deps.maxMessageBytes },
        });
      }
      const { totals } = this.#session;
      const before = totals.acceptedSamples;
      this.#session.apply(this.#codec.decode(data, isBinary));
      const accepted = totals.acceptedSamples - before;
      if (accepted > 0) this.#audioSeconds.inc(accepted / SAMPLE_RATE);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(thrown: unknown): void {
    if (!(thrown instanceof VoiceError)) this.#log.error({ event: 'error', err: thrown });
    const error =
      thrown instanceof VoiceError ? thrown : new VoiceError('internal', { cause: thrown });
    this.event({ kind: 'error', error });
    if (error.tier === 'fatal') this.end({ kind: 'error', error });
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
    this.#log.debug({ event: 'socket_error', code });
    if (code?.startsWith('WS_ERR'))
      this.end({ kind: 'error', error: new VoiceError('invalid_message') });
  }

  #onClose(code: number): void {
    const initiator = this.#ended ? 'server' : 'client';
    const reason = this.#ended?.kind ?? 'client';
    this.#heartbeat?.cancel();
    if (!this.#ended) {
      this.#ended = { kind: 'ended' };
      this.#sessionClosed = this.#session.close();
    }
    if (this.#admittedMs === undefined) return;
    const { metrics, clock } = this.#deps;
    const durationS = (clock.now() - this.#admittedMs) / 1000;
    metrics.sessionsActive.labels(this.#dialect.name).dec();
    metrics.sessionSeconds.labels(reason).observe(durationS);
    this.#log.info({
      event: 'session_ended',
      code,
      initiator,
      reason,
      durationS,
      ...this.#session.totals,
    });
  }

  #countAdmission(outcome: AdmissionOutcome): void {
    this.#deps.metrics.admissions.labels(this.#dialect.name, outcome).inc();
  }
}

function admissionOutcome(error: unknown): AdmissionOutcome {
  if (!(error instanceof VoiceError)) return 'error';
  switch (error.code) {
    case 'authentication_failed':
      return 'rejected_auth';
    case 'at_capacity':
      return 'rejected_capacity';
    default:
      return 'error';
  }
}

/** Cuts to what a close frame holds, at a character border. */
function clip(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return reason;
  return bytes
    .subarray(0, MAX_CLOSE_REASON_BYTES)
    .toString()
    .replace(/\uFFFD+$/, '');
}
