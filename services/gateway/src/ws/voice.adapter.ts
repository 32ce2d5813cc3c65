import type { Server } from 'node:http';
import type { INestApplicationContext, WebSocketAdapter } from '@nestjs/common';
import { requestPath, routeUpgrades } from '@voice-fleet/runtime/upgrade';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import type { Dialects } from '../dialects/dialects.ts';
import type { UpgradeGate } from './upgrade-gate.ts';

/** The socket is closed outright above this multiple of the message limit; up to it a client gets an error it can read. */
const HARD_LIMIT_FACTOR = 4;
const CLOSE_TIMEOUT_MS = 2_000;

interface AdapterOptions {
  readonly http: Server;
  readonly maxMessageBytes: number;
  readonly gate: Pick<UpgradeGate, 'check'>;
  readonly dialects: Pick<Dialects, 'at'>;
}

/**
 * Nest's WebSocket seam over a bare `ws` server. It binds no message handlers: frames go from the socket straight into the
 * Connection, past pipes, guards and interceptors.
 */
export class VoiceAdapter implements WebSocketAdapter<WebSocketServer, WebSocket> {
  readonly #options: AdapterOptions;
  #stopRouting: (() => void) | undefined;

  constructor(_app: INestApplicationContext, options: AdapterOptions) {
    this.#options = options;
  }

  create(): WebSocketServer {
    const { http, maxMessageBytes, gate, dialects } = this.#options;
    const options: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes * HARD_LIMIT_FACTOR,
      closeTimeout: CLOSE_TIMEOUT_MS,
      // Keys travel among those offered: a dialect whose clients offer any names those that are none.
      handleProtocols: (offered, request) => {
        const known = dialects.at(requestPath(request))?.subprotocols;
        return (known ?? [...offered]).find((one) => offered.has(one)) ?? false;
      },
    };
    const server = new WebSocketServer(options);
    this.#stopRouting = routeUpgrades(http, server, (request, signal) =>
      gate.check(request, signal),
    );
    return server;
  }

  bindClientConnect(server: WebSocketServer, onConnect: (...args: unknown[]) => void): void {
    server.on('connection', onConnect);
  }

  bindMessageHandlers(): void {}

  /** Nest asks for it when the application closes; `close` has done all there is to do. */
  async dispose(): Promise<void> {}

  close(server: WebSocketServer): void {
    this.#stopRouting?.();
    server.close();
  }
}
