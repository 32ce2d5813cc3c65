import type { WebSocket } from 'ws';

/** What a client sends before it is admitted is kept up to here; then it is not read. */
const MAX_FRAMES = 256;
const MAX_BYTES = 64 * 1024;

export interface EarlyFrame {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

/** Frames that came before their client was admitted, in order. */
export class EarlyFrames {
  readonly #socket: Pick<WebSocket, 'pause' | 'resume'>;
  #frames: EarlyFrame[] = [];
  #bytes = 0;

  constructor(socket: Pick<WebSocket, 'pause' | 'resume'>) {
    this.#socket = socket;
  }

  keep(data: Buffer, isBinary: boolean): void {
    this.#frames.push({ data, isBinary });
    this.#bytes += data.length;
    if (this.#frames.length >= MAX_FRAMES || this.#bytes > MAX_BYTES) this.#socket.pause();
  }

  /** All of them, once; the client is read again. */
  take(): readonly EarlyFrame[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    this.#socket.resume();
    return frames;
  }
}
