import { WebSocket } from 'ws';
import { until } from './until.ts';

export type JsonFrame = Readonly<Record<string, unknown>> & { readonly type: string };

/** A client of a dialect whose frames are JSON objects with a `type`. */
export class JsonSocket {
  readonly frames: JsonFrame[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Status and body of an upgrade that was refused. */
  refused: { readonly status: number; readonly body: unknown } | undefined;
  readonly #socket: WebSocket;
  #open = false;

  constructor(
    url: string,
    options: { headers?: Record<string, string>; protocols?: string[] } = {},
  ) {
    this.#socket = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {} });
    this.#socket.on('open', () => {
      this.#open = true;
    });
    this.#socket.on('message', (data) => this.frames.push(JSON.parse(String(data)) as JsonFrame));
    this.#socket.on('error', () => undefined);
    this.#socket.on('unexpected-response', (_request, response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        this.refused = { status: response.statusCode ?? 0, body: JSON.parse(text) as unknown };
      });
    });
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  /** Settles when the upgrade was answered. */
  async answered(): Promise<void> {
    await until(() => this.#open || this.refused !== undefined, 'the upgrade is answered');
  }

  /** An object goes as JSON, a string as it is, bytes as a binary frame. */
  send(frame: object | string | Buffer): void {
    const raw = typeof frame === 'string' || Buffer.isBuffer(frame);
    this.#socket.send(raw ? frame : JSON.stringify(frame));
  }

  close(code = 1000): void {
    this.#socket.close(code);
  }

  /** Reads nothing more. */
  pause(): void {
    this.#socket.pause();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  of(type: string): JsonFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The `nth` frame of its type, from 0, as soon as it is there. */
  async next(type: string, nth = 0): Promise<JsonFrame> {
    await until(
      () => this.of(type).length > nth,
      `there is ${type} number ${nth} among ${this.frames.map((frame) => frame.type).join(' ')}`,
    );
    return this.of(type)[nth] as JsonFrame;
  }
}
