import { createServer, type ServerOptions } from 'node:http';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { Clock } from '@voice-fleet/runtime/clock';
import { closeWithConnection } from '@voice-fleet/runtime/pipelined';
import { continueWhenRead } from './expect-continue.ts';
import { nameRequest } from './request-id.ts';
import { boundRequests } from './request-time.ts';

/** Request line and headers together; more are answered with 431. A token and a query fit many times over. */
const MAX_HEADER_BYTES = 16 * 1024;
/** A request that brings no recording may take so many times what its headers may. */
const REQUEST_FACTOR = 3;
const KEEP_ALIVE_MS = 5_000;
/** For a client that does not read its answer. */
const SILENT_MS = 60_000;
/** How often the times above are looked at, at the least. */
const CHECK_MS = 1_000;

export interface HttpTimes {
  /** For the headers of a request. */
  readonly headersTimeoutMs: number;
  /** For a whole request that brings a recording. */
  readonly uploadTimeoutMs: number;
}

/** Limits of a server on a public port: whoever sends no whole request in time is answered with 408 and closed. */
export function limitHttp({ headersTimeoutMs, uploadTimeoutMs }: HttpTimes): ServerOptions {
  return {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: headersTimeoutMs,
    requestTimeout: Math.max(uploadTimeoutMs, REQUEST_FACTOR * headersTimeoutMs),
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersTimeoutMs),
  };
}

/** Nest's HTTP server with explicit limits. */
export class LimitedHttp extends ExpressAdapter {
  readonly #times: HttpTimes;
  readonly #clock: Clock;

  constructor(times: HttpTimes, clock: Clock) {
    super();
    this.#times = times;
    this.#clock = clock;
    this.disable('x-powered-by');
  }

  override initHttpServer(): void {
    const wholeMs = REQUEST_FACTOR * this.#times.headersTimeoutMs;
    const server = createServer(limitHttp(this.#times), this.getInstance())
      .prependListener('request', boundRequests(this.#clock, wholeMs))
      .prependListener('request', closeWithConnection)
      .prependListener('request', nameRequest);
    server.on('checkContinue', continueWhenRead(server));
    server.timeout = SILENT_MS;
    this.httpServer = server;
  }
}
