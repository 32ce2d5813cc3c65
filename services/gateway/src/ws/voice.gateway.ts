import type { IncomingMessage } from 'node:http';
import { type BeforeApplicationShutdown, Inject } from '@nestjs/common';
import { type OnGatewayConnection, WebSocketGateway } from '@nestjs/websockets';
import { requestPath, requestQuery } from '@voice-fleet/runtime/upgrade';
import type { WebSocket } from 'ws';
import { Dialects } from '../dialects/dialects.ts';
import { Connection, type ConnectionDeps } from './connection.ts';

/** Class form of ConnectionDeps, so that Nest can hand it over by type. */
export abstract class ConnectionServices implements ConnectionDeps {
  abstract readonly clock: ConnectionDeps['clock'];
  abstract readonly admission: ConnectionDeps['admission'];
  abstract readonly pipeline: ConnectionDeps['pipeline'];
  abstract readonly usage: ConnectionDeps['usage'];
  abstract readonly metrics: ConnectionDeps['metrics'];
  abstract readonly log: ConnectionDeps['log'];
  abstract readonly tracer: ConnectionDeps['tracer'];
  abstract readonly gate: ConnectionDeps['gate'];
  abstract readonly maxMessageBytes: number;
  abstract readonly maxBytesPerS: number;
  abstract readonly heartbeatMs: number;
  /** How long an utterance under way may go on when this process is told to stop. */
  abstract readonly drainMs: number;
}

/** Every client socket of this process. */
@WebSocketGateway()
export class VoiceGateway implements OnGatewayConnection<WebSocket>, BeforeApplicationShutdown {
  readonly #dialects: Dialects;
  readonly #services: ConnectionServices;
  readonly #connections = new Set<Connection>();
  #stopping = false;

  constructor(
    @Inject(Dialects) dialects: Dialects,
    @Inject(ConnectionServices) services: ConnectionServices,
  ) {
    this.#dialects = dialects;
    this.#services = services;
    services.metrics.bufferedBytesNow = () => {
      let bytes = 0;
      for (const connection of this.#connections) bytes += connection.bufferedBytes;
      return bytes;
    };
  }

  handleConnection(socket: WebSocket, request: IncomingMessage): void {
    const dialect = this.#dialects.at(requestPath(request));
    if (dialect === undefined) return socket.terminate();
    if (this.#stopping) {
      const codec = dialect.codec(requestQuery(request), request.headers);
      const { code, reason } = codec.close({ kind: 'shutdown' });
      return socket.close(code, reason);
    }
    const connection = new Connection(socket, dialect, request, this.#services);
    this.#connections.add(connection);
    void connection.closed().then(() => this.#connections.delete(connection));
    void connection.admit();
  }

  /** Sends all clients elsewhere before their socket server goes; settles when every slot is given back. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    const closing = Array.from(this.#connections, (connection) => {
      connection.drain(this.#services.drainMs);
      return connection.closed();
    });
    await Promise.all(closing);
  }
}
