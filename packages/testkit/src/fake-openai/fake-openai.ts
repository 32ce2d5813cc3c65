import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FakeExchange } from './exchange.ts';

/** One endpoint of the fake. Whatever it needs to remember of its requests, it keeps itself. */
export interface FakeRoute {
  /** As in `/v1/chat/completions`. */
  readonly path: string;
  /** Answers a POST; what it throws is answered with 500. Should end when `exchange.signal` aborts. */
  answer(exchange: FakeExchange): Promise<void>;
}

export interface FakeOpenAiOptions {
  readonly chat?: FakeRoute;
  readonly speech?: FakeRoute;
  /** Other keys are answered with 401, as OpenAI does; without one, every key and none will do, as with vLLM. */
  readonly apiKey?: string;
}

/** A server on a real loopback port that speaks the wire of OpenAI's API, with faults on demand. */
export class FakeOpenAi implements AsyncDisposable {
  /** All requests in their order, for whatever path. */
  readonly exchanges: FakeExchange[] = [];
  readonly #routes: readonly FakeRoute[];
  readonly #apiKey: string | undefined;
  readonly #http: Server;

  private constructor({ chat, speech, apiKey }: FakeOpenAiOptions) {
    this.#routes = [chat, speech].filter((route) => route !== undefined);
    this.#apiKey = apiKey;
    this.#http = createServer((request, response) => void this.#onRequest(request, response));
  }

  static async start(options: FakeOpenAiOptions): Promise<FakeOpenAi> {
    const fake = new FakeOpenAi(options);
    await new Promise<void>((resolve, reject) => {
      fake.#http.once('error', reject);
      fake.#http.listen(0, '127.0.0.1', resolve);
    });
    return fake;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** What OPENAI_BASE_URL or TTS_BASE_URL is set to. */
  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  async stop(): Promise<void> {
    if (!this.#http.listening) return;
    const closed = new Promise((resolve) => this.#http.close(resolve));
    this.#http.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new FakeExchange(request, response);
    this.exchanges.push(exchange);
    try {
      await exchange.readBody();
      await this.#answer(exchange);
    } catch (error) {
      if (exchange.signal.aborted) return;
      exchange.error(500, { message: String(error), type: 'server_error' });
    }
  }

  async #answer(exchange: FakeExchange): Promise<void> {
    const { method, path, headers } = exchange;
    if (this.#apiKey !== undefined && headers.authorization !== `Bearer ${this.#apiKey}`)
      return exchange.error(401, {
        message: 'Incorrect API key provided.',
        type: 'invalid_request_error',
        code: 'invalid_api_key',
      });
    const route = this.#routes.find((one) => one.path === path);
    if (route === undefined)
      return exchange.error(404, {
        message: `Invalid URL (${method} ${path})`,
        type: 'invalid_request_error',
      });
    if (method !== 'POST')
      return exchange.error(405, {
        message: `Not allowed to ${method} on ${path}`,
        type: 'invalid_request_error',
        code: 'method_not_supported',
      });
    return route.answer(exchange);
  }
}
