import { createServer } from 'node:http';
import { ExpressAdapter } from '@nestjs/platform-express';
import { closeWithConnection } from '@voice-fleet/runtime/pipelined';

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
/** Longer than a gateway keeps a connection it does not use, so that it is the one to close it. */
const KEEP_ALIVE_MS = 65_000;

/** Nest's HTTP server with explicit limits. A reply may take its time; only requests are timed here. */
export class ServiceHttp extends ExpressAdapter {
  override initHttpServer(): void {
    this.httpServer = createServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        headersTimeout: HEADERS_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
      },
      this.getInstance(),
    ).prependListener('request', closeWithConnection);
  }
}
