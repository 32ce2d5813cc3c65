import type { Duplex } from 'node:stream';

/** A client must not send anything before it is answered; so much is a flood. */
const MAX_EARLY_BYTES = 64 * 1024;

/**
 * A socket whose client waits for the answer to its upgrade. It is read meanwhile, for only a socket that is read tells that
 * its peer has gone; such a socket is destroyed.
 */
export class HeldSocket {
  readonly #socket: Duplex;
  readonly #gone = new AbortController();
  #early: Buffer[];
  #earlyBytes = 0;

  readonly #onData = (chunk: Buffer): void => {
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#onGone();
  };
  readonly #onGone = (): void => {
    this.release();
    this.#socket.destroy();
    this.#gone.abort(new Error('the client has gone'));
  };

  /** `head`: what came with the request. */
  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#early = [head];
    socket.on('end', this.#onGone).on('close', this.#onGone).on('data', this.#onData);
  }

  /** Aborts when the client has gone before `release`. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Stops reading, and returns all that has come. Whoever goes on resumes the socket. */
  release(): Buffer {
    const socket = this.#socket.pause();
    socket.off('end', this.#onGone).off('close', this.#onGone).off('data', this.#onData);
    const head = Buffer.concat(this.#early);
    this.#early = [];
    return head;
  }
}
