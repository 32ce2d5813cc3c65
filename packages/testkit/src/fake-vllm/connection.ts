import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { WebSocket } from 'ws';
import type { CloseCode } from './faults.ts';
import { EMPTY_DELTA } from './server-event.ts';
import type { FakeSession, SessionPort } from './session.ts';

/** A client that does not read is cut off here; vLLM would wait for it. */
const MAX_UNREAD_BYTES = 16 * 2 ** 20;

/** A text frame as it goes over the wire: FIN and opcode, a length below 126, no mask. */
const EMPTY_FRAME = Buffer.concat([
  Buffer.from([0x81, EMPTY_DELTA.length]),
  Buffer.from(EMPTY_DELTA),
]);

export interface ConnectionDeps {
  readonly socket: WebSocket;
  /** The socket below, which `socket` was made from. */
  readonly raw: Duplex;
  readonly clock: Clock;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly makeSession: (port: SessionPort) => FakeSession;
  readonly onClosed: () => void;
}

/** One WebSocket and its session, with the keepalive of uvicorn. */
export class Connection implements SessionPort {
  readonly session: FakeSession;
  readonly #deps: ConnectionDeps;
  #timer: Timer | undefined;
  #isMute = false;
  #isClosing = false;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.session = deps.makeSession(this);
    const { socket } = deps;
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#onMessage(data, isBinary));
    socket.on('pong', () => this.#keepAlive());
    // A frame that is too large is answered with 1009 by ws, text that is not UTF-8 with 1007.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#onClosed());
    this.#keepAlive();
  }

  send(text: string): void {
    const { socket, raw } = this.#deps;
    if (this.#isMute || this.#isClosing || socket.readyState !== socket.OPEN) return;
    // Past `ws`, which would build this frame anew: without compression it holds nothing back that could be overtaken.
    if (text === EMPTY_DELTA) raw.write(EMPTY_FRAME);
    else socket.send(text);
    if (raw.writableLength > MAX_UNREAD_BYTES) this.close(1006);
  }

  close(code: CloseCode, reason = ''): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#timer?.cancel();
    this.session.abort();
    if (code === 1006) this.#deps.socket.terminate();
    else this.#deps.socket.close(code, reason);
  }

  /** Ends what `close` began, and a mute one; no client answer is waited for. */
  terminate(): void {
    this.close(1006);
    this.#deps.socket.terminate();
    this.#deps.raw.destroy();
  }

  mute(): void {
    if (this.#isMute) return;
    this.#isMute = true;
    this.#timer?.cancel();
    // Below `ws`, which would answer pings and a close frame.
    this.#deps.raw.removeAllListeners('data');
    this.#deps.raw.on('data', () => undefined);
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#isMute || this.#isClosing) return;
    // vLLM's handler dies of a binary frame and its server says goodbye.
    if (isBinary) return this.close(1000);
    this.session.receive(data);
  }

  #keepAlive(): void {
    const { clock, socket, pingIntervalMs, pingTimeoutMs } = this.#deps;
    this.#timer?.cancel();
    if (this.#isClosing || this.#isMute) return;
    this.#timer = clock.after(pingIntervalMs, () => {
      socket.ping();
      this.#timer = clock.after(pingTimeoutMs, () => this.close(1011, 'keepalive ping timeout'));
    });
  }

  #onClosed(): void {
    this.#isClosing = true;
    this.#timer?.cancel();
    this.session.abort();
    this.#deps.onClosed();
  }
}
