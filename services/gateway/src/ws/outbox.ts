import type { SessionEvent } from '@voice-fleet/protocol/session';

/** The part of a socket that the outbox needs. */
export interface FrameSocket {
  readonly bufferedAmount: number;
  send(frame: string, done: () => void): void;
}

type Partial = Extract<SessionEvent, { kind: 'partial' }>;

/** Bytes in the socket above which events wait here, where partials can still be merged. */
const HIGH_BYTES = 256 * 1024;
const MAX_WAITING = 1024;

/**
 * The way out to one client, bounded. A slow reader's partials are merged while they wait, all else is kept in order;
 * when more than 1024 events wait all the same, `onOverflow` is called once and nothing more is taken.
 */
export class Outbox {
  readonly #socket: FrameSocket;
  readonly #encode: (event: SessionEvent) => readonly string[];
  readonly #onOverflow: () => void;
  readonly #onSent = (): void => {
    if (this.#waiting.length > 0) this.#flush(HIGH_BYTES);
  };
  #waiting: (Partial | readonly string[])[] = [];
  #overflowed = false;

  constructor(
    socket: FrameSocket,
    encode: (event: SessionEvent) => readonly string[],
    onOverflow: () => void,
  ) {
    this.#socket = socket;
    this.#encode = encode;
    this.#onOverflow = onOverflow;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  send(event: SessionEvent): void {
    if (this.#overflowed) return;
    if (this.#waiting.length === 0 && this.#socket.bufferedAmount <= HIGH_BYTES)
      return this.#write(this.#encode(event));
    if (event.kind === 'partial') {
      if (this.#merge(event)) return;
      this.#waiting.push(event);
    } else {
      // Encoded now: the codec may answer with the ids of the frame being handled.
      this.#waiting.push(this.#encode(event));
    }
    if (this.#waiting.length <= MAX_WAITING) return;
    this.#overflowed = true;
    this.#waiting = [];
    this.#onOverflow();
  }

  /** Writes everything that waits, whatever the socket holds: for the last frames before a close. */
  flushAll(): void {
    this.#flush(Number.POSITIVE_INFINITY);
  }

  #merge(event: Partial): boolean {
    const last = this.#waiting.at(-1);
    if (last === undefined || !('kind' in last) || last.utteranceId !== event.utteranceId)
      return false;
    this.#waiting[this.#waiting.length - 1] = { ...event, text: last.text + event.text };
    return true;
  }

  #flush(highBytes: number): void {
    while (this.#waiting.length > 0 && this.#socket.bufferedAmount <= highBytes) {
      const next = this.#waiting.shift();
      if (next !== undefined) this.#write('kind' in next ? this.#encode(next) : next);
    }
  }

  #write(frames: readonly string[]): void {
    for (const frame of frames) this.#socket.send(frame, this.#onSent);
  }
}
