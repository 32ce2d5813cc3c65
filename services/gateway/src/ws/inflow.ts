import type { Clock, Timer } from '@voice-fleet/runtime/clock';

interface Pausable {
  pause(): void;
  resume(): void;
}

/** The part of a WebSocket used here. */
export interface InflowSocket extends Pausable {
  on(frame: 'message' | 'ping' | 'pong', listener: () => void): unknown;
}

/** Why a client is not read: it is not admitted yet, sends faster than it may, or its worker is behind. */
export type InflowHold = 'admission' | 'rate' | 'worker';

export interface InflowOptions {
  readonly clock: Clock;
  /** What the client may send on average; 0 for any amount. */
  readonly bytesPerS: number;
  readonly onRateHold: () => void;
  readonly onResume: () => void;
}

/** A client that sent less than it may has so much to catch up with at once. */
const BURST_S = 4;
/** What is read at once after a pause, so that there are not more pauses than are good for anything. */
const REST_S = 0.05;

/** The way in from one client. It is read only while nothing speaks against it. */
export class Inflow {
  readonly #socket: InflowSocket;
  readonly #options: InflowOptions;
  readonly #holds = new Set<InflowHold>();
  /** What may be sent now; below zero after a frame that was larger. */
  #leftBytes: number;
  #leftAtMs: number;
  #countedBytes = 0;
  #refill: Timer | undefined;
  #stopped = false;

  constructor(socket: InflowSocket, options: InflowOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#leftBytes = BURST_S * options.bytesPerS;
    this.#leftAtMs = options.clock.now();
  }

  /** Counts what comes on the connection from now on: frames of every kind, with their headers. */
  watch(stream: { readonly bytesRead: number }): void {
    if (this.#options.bytesPerS === 0) return;
    this.#countedBytes = stream.bytesRead;
    const count = (): void => this.#count(stream.bytesRead);
    this.#socket.on('message', count);
    this.#socket.on('ping', count);
    this.#socket.on('pong', count);
  }

  /** A view of the socket for one that knows of no other reason than its own. */
  forReason(reason: InflowHold): Pausable {
    return { pause: () => this.hold(reason, true), resume: () => this.hold(reason, false) };
  }

  hold(reason: InflowHold, on: boolean): void {
    if (this.#stopped) return;
    const wasHeld = this.#holds.size > 0;
    if (on) this.#holds.add(reason);
    else this.#holds.delete(reason);
    const isHeld = this.#holds.size > 0;
    if (isHeld === wasHeld) return;
    if (isHeld) return this.#socket.pause();
    this.#options.onResume();
    this.#socket.resume();
  }

  /** From now on the client is read whatever it does, so that it is heard when it answers the close. */
  stop(): void {
    this.#stopped = true;
    this.#refill?.cancel();
    this.#socket.resume();
  }

  #count(bytesRead: number): void {
    if (this.#stopped || bytesRead === this.#countedBytes) return;
    this.#settle();
    this.#leftBytes -= bytesRead - this.#countedBytes;
    this.#countedBytes = bytesRead;
    if (this.#leftBytes >= 0 || this.#refill !== undefined) return;
    this.#options.onRateHold();
    this.hold('rate', true);
    this.#awaitRefill();
  }

  #settle(): void {
    const { clock, bytesPerS } = this.#options;
    const nowMs = clock.now();
    const earned = ((nowMs - this.#leftAtMs) / 1000) * bytesPerS;
    this.#leftBytes = Math.min(BURST_S * bytesPerS, this.#leftBytes + earned);
    this.#leftAtMs = nowMs;
  }

  /** What was read before the pause took hold may still be on its way here, and is waited for, too. */
  #awaitRefill(): void {
    const { clock, bytesPerS } = this.#options;
    const missing = REST_S * bytesPerS - this.#leftBytes;
    const waitMs = Math.ceil((missing / bytesPerS) * 1000);
    this.#refill = clock.after(waitMs, () => {
      this.#refill = undefined;
      this.#settle();
      if (this.#leftBytes < 0) return this.#awaitRefill();
      this.hold('rate', false);
    });
  }
}
