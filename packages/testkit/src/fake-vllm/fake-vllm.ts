import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { VLLM_MAX_FRAME_BYTES, VLLM_REALTIME_PATH } from '@voice-fleet/protocol/vllm-realtime';
import type { Timer } from '@voice-fleet/runtime/clock';
import { refuseUpgrade, requestPath } from '@voice-fleet/runtime/upgrade';
import { traceparentIn } from '@voice-fleet/telemetry/tracing/traceparent';
import { type WebSocket, WebSocketServer } from 'ws';
import { Connection } from './connection.ts';
import { type Counters, newCounters } from './counters.ts';
import { EngineLoop } from './engine.ts';
import { type CloseCode, type ConnectionFault, Faults } from './faults.ts';
import { answer, isAuthorized } from './http-routes.ts';
import { EngineMetrics } from './metrics.ts';
import { type FakeVllmOptions, type FakeVllmSettings, settingsOf } from './options.ts';
import { FakeSession } from './session.ts';

/** How long clients get to answer the close frame of a shutdown. */
const GOODBYE_MS = 1_000;

/**
 * A server on a real port that obeys the wire of `vllm serve` with a Voxtral realtime model, with all of its traps, and that
 * has faults on demand. It needs no GPU: it hears coded speech, or whatever the option `hear` brings.
 */
export class FakeVllm implements AsyncDisposable {
  readonly counters: Counters = newCounters();
  readonly faults: Faults;
  readonly #settings: FakeVllmSettings;
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: VLLM_MAX_FRAME_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
  });
  readonly #connections = new Set<Connection>();
  /** Accepts that are put off. */
  readonly #waiting = new Map<Duplex, Timer>();
  #restart: Timer | undefined;
  #port = 0;
  #isAlive = true;
  #metrics = new EngineMetrics();
  #engine: EngineLoop;
  #closing: Promise<void> | undefined;

  private constructor(settings: FakeVllmSettings) {
    this.#settings = settings;
    this.#engine = this.#newEngine();
    this.faults = new Faults({
      strike: (fault) => {
        for (const session of this.sessions) session.strike(fault);
      },
      setHung: (isHung) => (isHung ? this.#engine.hang() : this.#engine.resume()),
      setSlowFactor: (factor) => {
        this.#engine.slowFactor = factor;
      },
    });
    const { apiKeys, models, version, limits } = settings;
    const facts = {
      apiKeys,
      models,
      version,
      maxModelLen: limits.maxModelLen,
      isEngineAlive: () => this.#isAlive,
      metricsText: () => this.metricsText(),
    };
    this.#http = createServer((request, response) => answer(request, response, facts));
    this.#http.on('upgrade', (request: IncomingMessage, raw: Duplex, head: Buffer) => {
      raw.on('error', () => raw.destroy());
      this.#onUpgrade(request, raw, head);
    });
  }

  /** Settles when it listens; rejects when the port is taken. */
  static async start(options: FakeVllmOptions = {}): Promise<FakeVllm> {
    const fake = new FakeVllm(settingsOf(options));
    const { host, port } = fake.#settings;
    await new Promise<void>((resolve, reject) => {
      fake.#http.once('error', reject);
      fake.#http.listen(port, host, resolve);
    });
    fake.#port = (fake.#http.address() as AddressInfo).port;
    return fake;
  }

  /** Stays known after `close`, so that another server can take its place. */
  get port(): number {
    return this.#port;
  }

  /** Base address of the HTTP routes, without a slash at its end. */
  get httpUrl(): string {
    return `http://${hostInUrl(this.#settings.host)}:${this.port}`;
  }

  /** Address of the realtime endpoint. */
  get url(): string {
    return `ws://${hostInUrl(this.#settings.host)}:${this.port}${VLLM_REALTIME_PATH}`;
  }

  /** Of all open connections, the oldest first. */
  get sessions(): FakeSession[] {
    return Array.from(this.#connections, ({ session }) => session);
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  /** Utterances begun and not over. */
  get liveUtterances(): number {
    return this.#engine.live.size;
  }

  /** What `/health` tells. */
  get isEngineAlive(): boolean {
    return this.#isAlive;
  }

  /** The page of `/metrics`. */
  metricsText(): string {
    const { models, limits } = this.#settings;
    return this.#metrics.render(models[0] ?? '', limits.kvPoolMib, {
      open: this.#connections.size,
      total: this.counters.connections,
    });
  }

  /** Plays overload: `num_preemptions_total` grows. */
  preempt(count = 1): void {
    this.#metrics.preemptions += count;
  }

  /** The engine dies now, as of an utterance that grew too long. */
  crash(): void {
    this.#engine.crash();
  }

  /** Closes every connection; new ones are welcome. */
  closeConnections(code: CloseCode): void {
    for (const connection of this.#connections) connection.close(code);
  }

  /** Every connection becomes half open. */
  muteConnections(): void {
    for (const connection of this.#connections) connection.mute();
  }

  /** Stops listening and ends every connection: cut off as by an old server, or with 1012 as by a new one. */
  close(code: 1006 | 1012 = 1006): Promise<void> {
    this.#closing ??= this.#close(code);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(code: 1006 | 1012): Promise<void> {
    this.#restart?.cancel();
    this.#engine.stop();
    for (const [raw, timer] of this.#waiting) {
      timer.cancel();
      raw.destroy();
    }
    this.#waiting.clear();
    const closed = new Promise((resolve) => this.#http.close(resolve));
    const terminate = (): void => {
      for (const connection of this.#connections) connection.terminate();
      this.#http.closeAllConnections();
    };
    if (code === 1006) terminate();
    else this.closeConnections(code);
    const timer = this.#settings.clock.after(GOODBYE_MS, terminate);
    await closed;
    timer.cancel();
  }

  #newEngine(): EngineLoop {
    const { clock, limits } = this.#settings;
    return new EngineLoop({
      clock,
      limits,
      metrics: this.#metrics,
      soon: (run) => void setImmediate(run),
      onCrash: () => this.#onCrash(),
    });
  }

  #onCrash(): void {
    this.#isAlive = false;
    for (const connection of this.#connections) connection.terminate();
    const { clock, restartAfterMs } = this.#settings;
    if (restartAfterMs === undefined) return;
    this.#restart = clock.after(restartAfterMs, () => {
      // A new process: it has counted nothing, and is neither hung nor slow.
      this.#metrics = new EngineMetrics();
      this.#engine = this.#newEngine();
      this.#isAlive = true;
    });
  }

  #onUpgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    const { apiKeys, denialStatus } = this.#settings;
    if (!isAuthorized(request, apiKeys)) return this.#refuse(raw, denialStatus, 'Unauthorized');
    // Without such a route the server closes before it accepts, which clients see as 403.
    if (requestPath(request) !== VLLM_REALTIME_PATH) return this.#refuse(raw, 403, 'Forbidden');
    const faults = this.faults.claimForConnection();
    for (const fault of faults) {
      if (fault.kind !== 'refuse') continue;
      return this.#refuse(raw, fault.status, 'refused on purpose');
    }
    if (!this.#isAlive) return this.#refuse(raw, undefined, '');
    let delayMs = 0;
    for (const fault of faults) if (fault.kind === 'slow_accept') delayMs += fault.delayMs;
    if (delayMs === 0) return this.#accept(request, raw, head, faults);
    this.#acceptLater(raw, delayMs, () => this.#accept(request, raw, head, faults));
  }

  /** Unless the client goes before. */
  #acceptLater(raw: Duplex, delayMs: number, accept: () => void): void {
    const leave = (): void => {
      this.#waiting.get(raw)?.cancel();
      this.#waiting.delete(raw);
      raw.off('end', destroy);
    };
    const destroy = (): void => void raw.destroy();
    // Only a socket that is read tells of its end. A client says nothing before it is accepted.
    raw.resume().once('end', destroy).once('close', leave);
    const timer = this.#settings.clock.after(delayMs, () => {
      leave();
      accept();
    });
    this.#waiting.set(raw, timer);
  }

  /** Without a status the connection is cut. */
  #refuse(raw: Duplex, status: number | undefined, message: string): void {
    this.counters.refused += 1;
    if (status === undefined) return void raw.destroy();
    refuseUpgrade(raw, `${status} ${STATUS_CODES[status] ?? ''}`, message);
  }

  #accept(
    request: IncomingMessage,
    raw: Duplex,
    head: Buffer,
    faults: readonly ConnectionFault[],
  ): void {
    this.#sockets.handleUpgrade(request, raw, head, (socket) =>
      this.#onConnection(socket, raw, faults, traceparentIn(request.headers)),
    );
  }

  #onConnection(
    socket: WebSocket,
    raw: Duplex,
    faults: readonly ConnectionFault[],
    traceparent: string | undefined,
  ): void {
    const { clock, pingIntervalMs, pingTimeoutMs } = this.#settings;
    this.counters.connections += 1;
    const connection: Connection = new Connection({
      socket,
      raw,
      clock,
      pingIntervalMs,
      pingTimeoutMs,
      onClosed: () => this.#connections.delete(connection),
      makeSession: (port) =>
        new FakeSession({
          id: `sess-${randomBytes(8).toString('hex')}`,
          settings: this.#settings,
          engine: this.#engine,
          counters: this.counters,
          port,
          traceparent,
          claimFaults: () => this.faults.claimForUtterance(),
          refusesModels: faults.some(({ kind }) => kind === 'model_not_found'),
        }),
    });
    this.#connections.add(connection);
    if (faults.some(({ kind }) => kind === 'mute')) return connection.mute();
    connection.session.greet();
    for (const fault of faults) if (fault.kind === 'close_at_connect') connection.close(fault.code);
  }
}

/** An IPv6 address stands in brackets. */
function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
