import { createServer, type ServerOptions } from 'node:http';
import { ExpressAdapter } from '@nestjs/platform-express';
import { closeWithConnection } from '@voice-fleet/runtime/pipelined';
import { nameRequest } from './request-id.ts';

/** Request line and headers together; more are answered with 431. A token and a query fit many times over. */
const MAX_HEADER_BYTES = 16 * 1024;
/** A whole request may take so many times what its headers may. */
const REQUEST_FACTOR = 3;
const KEEP_ALIVE_MS = 5_000;
/** For a client that does not read its answer. */
const SILENT_MS = 60_000;
/** How often the times above are looked at, at the least. */
const CHECK_MS = 1_000;

/** Limits of a server on a public port: whoever sends no whole request in time is answered with 408 and closed. */
export function limitHttp(headersTimeoutMs: number): ServerOptions {
  return {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: headersTimeoutMs,
    requestTimeout: REQUEST_FACTOR * headersTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersTimeoutMs),
  };
}

/** Nest's HTTP server with explicit limits. */
export class LimitedHttp extends ExpressAdapter {
  readonly #headersTimeoutMs: number;

  constructor(headersTimeoutMs: number) {
    super();
    this.#headersTimeoutMs = headersTimeoutMs;
  }

  override initHttpServer(): void {
    const options = limitHttp(this.#headersTimeoutMs);
    const server = createServer(options, this.getInstance())
      .prependListener('request', closeWithConnection)
      .prependListener('request', nameRequest);
    server.timeout = SILENT_MS;
    this.httpServer = server;
  }
}
