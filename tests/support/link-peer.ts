import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AsrEngine } from '@voice-fleet/asr-worker/engines/engine';
import { LinkServer } from '@voice-fleet/asr-worker/link/link-server';
import { WorkerMetrics } from '@voice-fleet/asr-worker/metrics';
import { CatchUp } from '@voice-fleet/asr-worker/transcription/catch-up';
import type { RunnerSettings } from '@voice-fleet/asr-worker/transcription/utterance-runner';
import type { Vad } from '@voice-fleet/asr-worker/vad/vad';
import type { LeaseCheck } from '@voice-fleet/fleet/lease';
import type { ServedLease } from '@voice-fleet/fleet/worker';
import {
  LINK_PATH,
  LINK_VERSION,
  type LinkEndpoint,
  LinkEvent,
  type LinkResume,
  type LinkWord,
} from '@voice-fleet/protocol/link';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER } from '@voice-fleet/telemetry/tracing/tracer';
import { WebSocket } from 'ws';
import { codedVad } from './coded-vad.ts';

const ENDLESS = Number.POSITIVE_INFINITY;

/** A gateway's end of a link, by hand. */
export class LinkPeer {
  readonly socket: WebSocket;
  readonly events: LinkEvent[] = [];
  /** The close code. */
  readonly closed: Promise<number>;
  onEvent: (event: LinkEvent) => void = () => undefined;
  #waiter: () => void = () => undefined;

  constructor(port: number) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${LINK_PATH}`);
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) => {
      const event = LinkEvent.parse(JSON.parse(data.toString()));
      this.events.push(event);
      this.onEvent(event);
      this.#waiter();
    });
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  static async open(port: number): Promise<LinkPeer> {
    const peer = new LinkPeer(port);
    await once(peer.socket, 'open');
    return peer;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  hello(session: string, lease: { token?: string; epoch?: number; tenant?: string } = {}): void {
    const { token = `token of ${session}`, epoch = 1, tenant = 't' } = lease;
    const all = { token, epoch, tenant };
    this.send({ type: 'hello', version: LINK_VERSION, session, lease: all });
  }

  start(utterance: number, fromSample = 0, resume?: LinkResume, endpoint?: LinkEndpoint): void {
    this.send({ type: 'start', utterance, fromSample, resume, endpoint });
  }

  audio(pcm: Buffer): void {
    this.socket.send(pcm);
  }

  finish(utterance: number): void {
    this.send({ type: 'finish', utterance });
  }

  /** Settles when an event of this type has come. */
  async told<T extends LinkEvent['type']>(type: T): Promise<Extract<LinkEvent, { type: T }>> {
    for (;;) {
      const found = this.events.find((event) => event.type === type);
      if (found) return found as Extract<LinkEvent, { type: T }>;
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
    }
  }

  /** All that was sent so far has been handled when the pong is back. */
  async heard(): Promise<void> {
    this.socket.ping();
    await once(this.socket, 'pong');
  }

  /** All words told so far. */
  get words(): LinkWord[] {
    return this.events.flatMap((event) => ('words' in event ? event.words : []));
  }
}

export interface LinkWorkerOptions {
  readonly engine: AsrEngine;
  /** Stopped by the test. Default: one that knows coded speech. */
  readonly vad?: Vad;
  readonly clock?: Clock;
  readonly settings?: Partial<RunnerSettings>;
  /** How many utterances may catch up at once. */
  readonly permits?: () => number;
  readonly verify?: (lease: ServedLease) => Promise<LeaseCheck>;
}

/** The link port of a worker, without the worker around it. */
export class LinkWorker implements AsyncDisposable {
  readonly server: LinkServer;
  readonly http: Server;
  readonly metrics = new WorkerMetrics();
  readonly #logged: string[] = [];

  private constructor(http: Server, options: LinkWorkerOptions) {
    this.http = http;
    const { engine, vad = codedVad(), clock = systemClock, permits = () => 4 } = options;
    const { metrics } = this;
    const settings = {
      plan: { segmentSamples: ENDLESS, pauseFromSamples: ENDLESS, overlapSamples: 0 },
      maxBacklogSamples: 0,
      finishTimeoutMs: 5_000,
      quietTimeoutMs: 60_000,
      recovery: { maxAttempts: 0, overlapSamples: 0, replaySamples: 0 },
      ...options.settings,
    };
    const catchUp = new CatchUp({ clock, permits, stats: metrics.catchUp });
    this.server = new LinkServer(http, {
      clock,
      session: { engine, vad, clock, settings, metrics, catchUp, tracer: NO_TRACER },
      metrics,
      slots: () => engine.slots,
      engineReady: () => true,
      verify: options.verify ?? (async () => 'valid'),
      heartbeatMs: 60_000,
      log: createLogger('asr-worker', 'debug', { write: (line) => void this.#logged.push(line) }),
    });
  }

  static async start(options: LinkWorkerOptions): Promise<LinkWorker> {
    const http = createServer().listen(0, '127.0.0.1');
    await once(http, 'listening');
    return new LinkWorker(http, options);
  }

  get port(): number {
    return (this.http.address() as AddressInfo).port;
  }

  get log(): string {
    return this.#logged.join('');
  }

  lines(event: string): Record<string, unknown>[] {
    return this.#logged
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line['event'] === event);
  }

  sessions(): string[] {
    return this.server.leases().map(({ sessionId }) => sessionId);
  }

  /** One value of the metrics page, by its name with labels; 0 where it was never set. */
  async count(name: string): Promise<number> {
    const page = await this.metrics.registry.metrics();
    const line = page.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(name.length + 1));
  }

  async dial(): Promise<LinkPeer> {
    return LinkPeer.open(this.port);
  }

  async linked(session: string): Promise<LinkPeer> {
    const peer = await this.dial();
    peer.hello(session);
    await peer.told('ready');
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    const closed = once(this.http, 'close');
    this.http.close();
    await closed;
  }
}
