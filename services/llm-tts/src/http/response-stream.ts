import type { ServerResponse } from 'node:http';
import type { Clock } from '@voice-fleet/runtime/clock';

export interface ResponseStreamOptions {
  readonly clock: Clock;
  /** A client that takes nothing for so long is cut off. */
  readonly stallMs: number;
}

/** An HTTP answer that is written bit by bit, as fast as its client reads. */
export class ResponseStream {
  /** Aborts when the client has gone, or was cut off as it did not read. */
  readonly signal: AbortSignal;
  readonly #response: ServerResponse;
  readonly #options: ResponseStreamOptions;
  readonly #gone = new AbortController();

  constructor(response: ServerResponse, options: ResponseStreamOptions) {
    this.#response = response;
    this.#options = options;
    this.signal = this.#gone.signal;
    const onClose = (): void => {
      if (!response.writableFinished) this.#gone.abort(new Error('the client has gone'));
    };
    if (response.destroyed) onClose();
    response.once('close', onClose);
    response.on('error', onClose);
  }

  /** Answers 200: from now on nothing but the stream can be sent. */
  begin(contentType: string): void {
    this.#response.writeHead(200, {
      'content-type': contentType,
      'cache-control': 'no-store',
      // Proxies that gather an answer would undo it.
      'x-accel-buffering': 'no',
    });
    this.#response.flushHeaders();
  }

  /** Settles when more may be written; rejects when the client has gone or takes nothing. */
  async write(part: string | Uint8Array): Promise<void> {
    this.signal.throwIfAborted();
    if (this.#response.write(part)) return;
    await this.#drained();
  }

  end(): void {
    this.#response.end();
  }

  /** Ends the connection: what was sent must not be taken for a whole answer. */
  cut(): void {
    this.#response.destroy();
  }

  #drained(): Promise<void> {
    const { clock, stallMs } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        timer.cancel();
        this.#response.off('drain', onDrain);
        this.signal.removeEventListener('abort', onGone);
        act();
      };
      const onDrain = (): void => settle(resolve);
      const onGone = (): void => settle(() => reject(this.signal.reason as Error));
      const timer = clock.after(stallMs, () => this.cut());
      this.#response.once('drain', onDrain);
      this.signal.addEventListener('abort', onGone, { once: true });
    });
  }
}
