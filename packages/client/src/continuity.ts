const MAX_PAUSES = 1_000;

/** What a session went through. */
export interface YapContinuity {
  /** How often the session was taken up again over another connection. */
  readonly resumes: number;
  /** For each loss within an utterance: milliseconds from its last text before it (or its start) to the first after it. The newest 1000. */
  readonly pausesMs: readonly number[];
  /** Audio of the session that the server has recorded, as of its last ack. */
  readonly acceptedSamples: number;
}

/** Counts what a session goes through. */
export class ContinuityMeter {
  resumes = 0;
  acceptedSamples = 0;
  readonly #pausesMs: number[] = [];
  #pausedSinceMs: number | undefined;

  get report(): YapContinuity {
    const { resumes, acceptedSamples } = this;
    return { resumes, pausesMs: [...this.#pausesMs], acceptedSamples };
  }

  /** The connection was lost within an utterance whose last text came at `lastTextMs`. */
  lost(lastTextMs: number): void {
    this.#pausedSinceMs = lastTextMs;
  }

  textCame(nowMs: number): void {
    if (this.#pausedSinceMs === undefined) return;
    this.#pausesMs.push(nowMs - this.#pausedSinceMs);
    if (this.#pausesMs.length > MAX_PAUSES) this.#pausesMs.shift();
    this.#pausedSinceMs = undefined;
  }

  utteranceOver(): void {
    this.#pausedSinceMs = undefined;
  }
}
