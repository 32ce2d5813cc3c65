import { LeanServerFrame } from '@voice-fleet/protocol/lean';
import { WebSocket } from 'ws';

type Frame<T extends LeanServerFrame['type']> = Extract<LeanServerFrame, { type: T }>;

/** A client of the lean protocol. Each frame is checked against the schema as it comes. */
export class LeanSocket {
  readonly frames: LeanServerFrame[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  readonly #opened: Promise<void>;
  #fault: Error | undefined;
  #wake: (() => void)[] = [];

  constructor(url: string, headers: Record<string, string> = {}) {
    this.#socket = new WebSocket(url, { headers });
    this.#socket.on('message', (data) => {
      try {
        this.frames.push(LeanServerFrame.parse(JSON.parse(String(data))));
      } catch (error) {
        this.#fault = new Error(`no frame of the protocol: ${String(data)}`, { cause: error });
      }
      this.#tell();
    });
    this.#socket.on('error', () => undefined);
    this.#opened = new Promise((resolve) => this.#socket.once('open', resolve));
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', (code, reason) => {
        resolve({ code, reason: String(reason) });
        this.#fault ??= new Error(`closed with ${code}`);
        this.#tell();
      });
    });
  }

  /** An object goes as JSON, a string as it is, audio as a binary frame. */
  async send(frame: object | string | Buffer): Promise<void> {
    await this.#opened;
    if (Buffer.isBuffer(frame) || typeof frame === 'string') this.#socket.send(frame);
    else this.#socket.send(JSON.stringify(frame));
  }

  /** Sends audio at the pace of speech. */
  async speak(pcm: Buffer, frameMs = 100): Promise<void> {
    const bytes = frameMs * 32;
    const startMs = performance.now();
    for (let at = 0; at < pcm.length; at += bytes) {
      const waitMs = startMs + (at / bytes) * frameMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await this.send(pcm.subarray(at, at + bytes));
    }
  }

  all<T extends LeanServerFrame['type']>(type: T): Frame<T>[] {
    return this.frames.filter((frame): frame is Frame<T> => frame.type === type);
  }

  /** The frame number `nth` of its type, from 0, as soon as it is there; throws when the socket closes without. */
  async next<T extends LeanServerFrame['type']>(type: T, nth = 0): Promise<Frame<T>> {
    for (;;) {
      const frame = this.all(type)[nth];
      if (frame !== undefined) return frame;
      if (this.#fault !== undefined) throw this.#fault;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
