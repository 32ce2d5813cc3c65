import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { SaveResult, SessionSave } from '@voice-fleet/fleet/session-record';
import type { ResumedUtterance } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/** How often what has moved without a frame is saved, and acknowledged. */
const TICK_MS = 1_000;
/** An idle session is saved so seldom: it keeps the record alive, and tells that another connection has taken the session. */
const IDLE_TICKS = 2;
/** Frames that wait for a Redis that is away, at the most; a resume from before them is refused. */
const MAX_UNSAVED = 1_024;
/** For the last save of a session that ends. */
const LAST_SAVE_MS = 1_000;

/** What the journal writes of a session, as it is now. */
export interface JournalState {
  readonly state: string;
  /** Number and text of the open utterance; number 0: none. */
  readonly transcript: { readonly utterance: number; readonly text: string };
  readonly acceptedSamples: number;
  /** What a resume from this state may ask the client for again. */
  readonly keep: ResumedUtterance | undefined;
}

export interface JournalDeps {
  readonly clock: Clock;
  readonly save: (
    save: Pick<SessionSave, 'seq' | 'frames' | 'state' | 'text' | 'acceptedSamples' | 'confirmed'>,
  ) => Promise<SaveResult>;
  /** The client has sent something, so it has got the token that it was told last. */
  readonly confirmed: () => boolean;
  readonly number: (frame: string, seq: number) => string;
  readonly describe: () => JournalState;
  readonly send: (frame: string) => void;
  /** So much audio is saved, and with it billed; and a resume asks for none before `keep`. */
  readonly onSaved: (acceptedSamples: number, keep: ResumedUtterance | undefined) => void;
  readonly onFenced: () => void;
  readonly onError: (error: unknown) => void;
}

/** Where a session that goes on had come to. */
export interface JournalStart {
  readonly seq: number;
  readonly transcript: JournalState['transcript'];
}

/**
 * The way out to a client that may resume: a frame is numbered, written to Redis, and then sent, so that whatever the client
 * has got, another gateway knows. One save is under way at a time; frames that come meanwhile go with the next. While Redis is
 * away frames are sent all the same, and saved later.
 */
export class Journal {
  readonly #deps: JournalDeps;
  readonly #tick: Timer;
  /** Numbered frames that are not saved; the first `#sent` of them went out all the same. */
  #frames: string[] = [];
  #sent = 0;
  #seq: number;
  #savedTranscript: JournalState['transcript'];
  #savedSamples = -1;
  #savedState = '';
  #idleTicks = 0;
  #saving: Promise<void> | undefined;
  #closed = false;
  #fenced = false;

  constructor(deps: JournalDeps, start: JournalStart = { seq: 0, transcript: NOTHING }) {
    this.#deps = deps;
    this.#seq = start.seq;
    this.#savedTranscript = start.transcript;
    this.#tick = deps.clock.every(TICK_MS, () => this.#onTick());
  }

  /** Frames that wait to be saved. */
  get waiting(): number {
    return this.#frames.length - this.#sent;
  }

  write(frames: readonly string[]): void {
    if (this.#closed) return;
    for (const frame of frames) {
      this.#seq += 1;
      this.#frames.push(this.#deps.number(frame, this.#seq));
    }
    if (frames.length > 0) this.#start();
  }

  /** Saves what is left, for no longer than a second, and ends. False when another connection has the session. */
  async close(): Promise<boolean> {
    if (this.#closed) return !this.#fenced;
    await this.#within(LAST_SAVE_MS, () => this.#settled());
    // A Redis that hangs must not cost the client its last frames.
    if (!this.#closed) this.#sendUpTo(this.#frames.length);
    this.stop();
    return !this.#fenced;
  }

  /** Saves now, and tells whether the session is still this connection's, as far as can be known. */
  async check(): Promise<boolean> {
    await this.#settled();
    return !this.#closed;
  }

  /** Settles when all that there was has been saved, or could not be. */
  async #settled(): Promise<void> {
    await this.#saving;
    if (this.#closed) return;
    this.#start();
    await this.#saving;
  }

  /** Ends at once: what is not saved is not. */
  stop(): void {
    this.#closed = true;
    this.#tick.cancel();
  }

  #onTick(): void {
    const { state, acceptedSamples } = this.#deps.describe();
    this.#idleTicks += 1;
    const moved = acceptedSamples !== this.#savedSamples || state !== this.#savedState;
    if (moved || this.#frames.length > 0 || this.#idleTicks >= IDLE_TICKS) this.#start();
  }

  #start(): void {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
      if (this.waiting > 0 && !this.#closed) this.#start();
    });
  }

  async #save(): Promise<void> {
    // What is written in this turn of the event loop goes along.
    await Promise.resolve();
    const { describe, onSaved, onFenced, onError } = this.#deps;
    // All of one moment: frames and state must tell the same.
    const frames = [...this.#frames];
    const seq = this.#seq;
    const confirmed = this.#deps.confirmed();
    const { acceptedSamples, state, transcript, keep } = describe();
    const ask = (atChar: number): Promise<SaveResult> =>
      this.#deps.save({
        seq,
        frames,
        state,
        text: { atChar, append: transcript.text.slice(atChar) },
        acceptedSamples,
        confirmed,
      });
    try {
      let result = await ask(this.#savedChars(transcript));
      if (result === 'text_missing') result = await ask(0);
      if (this.#closed) return;
      if (result === 'fenced') {
        this.#fenced = true;
        this.stop();
        return onFenced();
      }
      this.#sendUpTo(frames.length);
      this.#frames.splice(0, frames.length);
      this.#sent -= frames.length;
      this.#savedTranscript = transcript;
      this.#savedSamples = acceptedSamples;
      this.#savedState = state;
      this.#idleTicks = 0;
      onSaved(acceptedSamples, keep);
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) onError(error);
      if (this.#closed) return;
      this.#sendUpTo(this.#frames.length);
      const excess = Math.max(0, this.#frames.length - MAX_UNSAVED);
      this.#frames.splice(0, excess);
      this.#sent -= excess;
    }
  }

  /** How much of the text Redis has. */
  #savedChars(transcript: JournalState['transcript']): number {
    const saved = this.#savedTranscript;
    return saved.utterance === transcript.utterance ? saved.text.length : 0;
  }

  #sendUpTo(count: number): void {
    for (; this.#sent < count; this.#sent += 1) {
      const frame = this.#frames[this.#sent];
      if (frame !== undefined) this.#deps.send(frame);
    }
  }

  async #within(timeoutMs: number, work: () => Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(timeoutMs, resolve);
      void work().finally(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}

const NOTHING = { utterance: 0, text: '' };
