import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NDJSON, TURNS_PATH, type TurnEvent } from '@voice-fleet/protocol/turn';

/** One turn that the test answers event by event, on a real socket. */
export class ScriptedTurn {
  /** Its client has gone, or it was answered to the end. */
  readonly closed: Promise<void>;
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.closed = once(response, 'close').then(() => undefined);
    response.writeHead(200, { 'content-type': NDJSON });
    response.flushHeaders();
  }

  /** What was written and is not read by the gateway. */
  get unread(): number {
    return this.#response.writableLength;
  }

  get over(): boolean {
    return this.#response.destroyed;
  }

  say(...events: TurnEvent[]): void {
    for (const event of events) this.raw(`${JSON.stringify(event)}\n`);
  }

  raw(text: string): void {
    this.#response.write(text);
  }

  /** Ends the answer, whatever it has told. */
  end(): void {
    this.#response.end();
  }

  cut(): void {
    this.#response.socket?.destroy();
  }
}

/** A stand-in for llm-tts that says what the test wants, the wrong things too. */
export class ScriptedTurns implements AsyncDisposable {
  readonly #server: Server;
  readonly #arrived: ScriptedTurn[] = [];
  #wake: (() => void) | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      request.resume();
      if (request.url !== TURNS_PATH) return void response.writeHead(404).end();
      this.#arrived.push(new ScriptedTurn(response));
      this.#wake?.();
    });
  }

  static async start(): Promise<ScriptedTurns> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedTurns(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next turn that is asked for. */
  async next(): Promise<ScriptedTurn> {
    for (;;) {
      const turn = this.#arrived.shift();
      if (turn) return turn;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
