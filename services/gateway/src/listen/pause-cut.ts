import type { CommitCause } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { msToSamples } from '@voice-fleet/speech/pcm';
import type { ListenUtterance } from './listen-utterance.ts';

const PAUSE_SAMPLES = msToSamples(200);
/** A pause is waited for no longer, in audio or by the clock: a client may send no more. */
const MOST_SAMPLES = msToSamples(2_000);
const MOST_MS = 1_000;

/** Ends an utterance between words: where somebody speaks already, at his next pause. */
export class PauseCut {
  readonly #clock: Clock;
  readonly #cut: (utterance: ListenUtterance, cause: CommitCause) => void;
  #cause: CommitCause | undefined;
  #bySample = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, cut: (utterance: ListenUtterance, cause: CommitCause) => void) {
    this.#clock = clock;
    this.#cut = cut;
  }

  /** A pause is waited for. */
  get due(): boolean {
    return this.#cause !== undefined;
  }

  begin(utterance: ListenUtterance, cause: CommitCause): void {
    if (this.due) return;
    this.#cause = cause;
    this.#bySample = utterance.sentSample + MOST_SAMPLES;
    this.#timer = this.#clock.after(MOST_MS, () => this.#now(utterance));
    this.look(utterance);
  }

  /** The session was given more of it. */
  look(utterance: ListenUtterance): void {
    if (utterance.pauseSamples >= PAUSE_SAMPLES || utterance.sentSample >= this.#bySample)
      this.#now(utterance);
  }

  stop(): void {
    this.#cause = undefined;
    this.#timer?.cancel();
  }

  #now(utterance: ListenUtterance): void {
    const cause = this.#cause;
    this.stop();
    if (cause !== undefined) this.#cut(utterance, cause);
  }
}
