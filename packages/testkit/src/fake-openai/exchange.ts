import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

export interface OpenAiFault {
  readonly message: string;
  /** OpenAI's: invalid_request_error, rate_limit_error, server_error, ... */
  readonly type: string;
  readonly code?: string;
}

/** One request to the fake and its answer. `signal` aborts when the client has gone before the answer was whole. */
export class FakeExchange {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
  /** As `performance.now()`: the request has come. */
  readonly beganMs = performance.now();
  /** The same: the client has gone before the answer was whole. */
  abortedMs: number | undefined;
  /** Settles when the answer was sent whole or the client has gone. */
  readonly closed: Promise<void>;
  /** The body, parsed if it is JSON. */
  body: unknown;
  rawBody: Buffer = Buffer.alloc(0);
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.response = response;
    this.method = request.method ?? '';
    this.path = request.url?.split('?', 1)[0] ?? '';
    this.headers = request.headers;
    const controller = new AbortController();
    this.signal = controller.signal;
    response.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      response.once('close', () => {
        if (!response.writableFinished) {
          this.abortedMs = performance.now();
          controller.abort(new Error('the client has gone'));
        }
        resolve();
      });
    });
  }

  async readBody(): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of this.#request) parts.push(part as Buffer);
    this.rawBody = Buffer.concat(parts);
    if (/^application\/json\b/.test(this.headers['content-type'] ?? ''))
      this.body = JSON.parse(this.rawBody.toString('utf8'));
  }

  json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(body));
  }

  /** OpenAI's form of an error. */
  error(
    status: number,
    { message, type, code }: OpenAiFault,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    // A stream that has begun cannot become an error.
    if (this.response.headersSent) return void this.response.destroy();
    this.json(status, { error: { message, type, param: null, code: code ?? null } }, headers);
  }

  /** Ends the connection when what was written is on its way, with no word more. */
  cut(): void {
    this.response.socket?.destroySoon();
  }

  /** Waits so long; rejects as soon as the client has gone. */
  pause(delayMs: number): Promise<void> {
    return this.#orGone((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      return () => clearTimeout(timer);
    });
  }

  /** Never settles but by the client's going. */
  untilGone(): Promise<never> {
    return this.#orGone<never>(() => () => undefined);
  }

  #orGone<T>(begin: (resolve: (value: T) => void) => () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const onGone = (): void => {
        stop();
        reject(this.signal.reason as Error);
      };
      const stop = begin((value) => {
        this.signal.removeEventListener('abort', onGone);
        resolve(value);
      });
      if (this.signal.aborted) onGone();
      else this.signal.addEventListener('abort', onGone, { once: true });
    });
  }
}
