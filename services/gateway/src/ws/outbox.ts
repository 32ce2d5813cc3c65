import type { SessionEvent } from '@voice-fleet/protocol/session';

/** The part of a socket that the outbox needs. */
export interface FrameSocket {
  readonly bufferedAmount: number;
  send(frame: string, done: () => void): void;
}

/** What may be merged with its like while it waits: a partial is added to the last one, a transcript takes its place. */
type Mergeable = Extract<SessionEvent, { kind: 'partial' | 'transcript' }>;

/** What waits for a client. */
export interface OutboxLoad {
  readonly events: number;
  readonly chars: number;
}

/** Bytes in the socket above which events wait here, where partials can still be merged. */
const HIGH_BYTES = 256 * 1024;
const MAX_WAITING = 1024;
/** A frame holds ids of the client's choosing, so their number alone bounds nothing. */
export const MAX_WAITING_CHARS = 1024 * 1024;
/** With spoken replies, which are read no further when a part of this waits. */
export const MAX_SPOKEN_CHARS = 8 * 1024 * 1024;

/**
 * The way out to one client, bounded. A slow reader's partials are merged while they wait, all else is kept in order;
 * when more than 1024 events or `maxChars` characters wait all the same, `onOverflow` is called once and nothing more is taken.
 */
export class Outbox {
  readonly #socket: FrameSocket;
  readonly #encode: (event: SessionEvent) => readonly string[];
  readonly #onOverflow: () => void;
  readonly #onSent = (): void => {
    if (this.#waiting.length > 0) this.#flush(HIGH_BYTES);
  };
  #waiting: (Mergeable | readonly string[])[] = [];
  #waitingChars = 0;
  #overflowed = false;
  readonly #onWaiting: (change: number) => void;
  readonly #maxChars: number;
  #told = 0;

  /** `onWaiting` hears of each change in how many events wait; after `flushAll`, of none that do. */
  constructor(
    socket: FrameSocket,
    encode: (event: SessionEvent) => readonly string[],
    onOverflow: () => void,
    onWaiting: (change: number) => void = () => undefined,
    maxChars = MAX_WAITING_CHARS,
  ) {
    this.#maxChars = maxChars;
    this.#socket = socket;
    this.#encode = encode;
    this.#onOverflow = onOverflow;
    this.#onWaiting = onWaiting;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get load(): OutboxLoad {
    return { events: this.#waiting.length, chars: this.#waitingChars };
  }

  send(event: SessionEvent): void {
    if (this.#overflowed) return;
    if (this.#waiting.length === 0 && this.#socket.bufferedAmount <= HIGH_BYTES)
      return this.#write(this.#encode(event));
    // All but partials are encoded now: the codec may answer with the ids of the frame being handled.
    const merges = event.kind === 'partial' || event.kind === 'transcript';
    const item = merges ? event : this.#encode(event);
    this.#waitingChars += chars(item);
    if (!('kind' in item && this.#merge(item))) this.#waiting.push(item);
    if (this.#waiting.length <= MAX_WAITING && this.#waitingChars <= this.#maxChars)
      return this.#tell();
    this.#overflowed = true;
    this.#waiting = [];
    this.#tell();
    this.#onOverflow();
  }

  /** Writes everything that waits, whatever the socket holds: for the last frames before a close. */
  flushAll(): void {
    this.#flush(Number.POSITIVE_INFINITY);
  }

  #merge(event: Mergeable): boolean {
    const last = this.#waiting.at(-1);
    if (last === undefined || !('kind' in last) || last.kind !== event.kind) return false;
    if (last.utteranceId !== event.utteranceId) return false;
    const whole = event.kind === 'transcript';
    if (whole) this.#waitingChars -= chars(last);
    const text = whole ? event.text : last.text + event.text;
    this.#waiting[this.#waiting.length - 1] = { ...event, text };
    return true;
  }

  #flush(highBytes: number): void {
    while (this.#waiting.length > 0 && this.#socket.bufferedAmount <= highBytes) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#waitingChars -= chars(next);
      this.#write('kind' in next ? this.#encode(next) : next);
    }
    this.#tell();
  }

  #tell(): void {
    const change = this.#waiting.length - this.#told;
    if (change === 0) return;
    this.#told += change;
    this.#onWaiting(change);
  }

  #write(frames: readonly string[]): void {
    for (const frame of frames) this.#socket.send(frame, this.#onSent);
  }
}

function chars(item: Mergeable | readonly string[]): number {
  if ('kind' in item) return item.text.length;
  return item.reduce((sum, frame) => sum + frame.length, 0);
}
