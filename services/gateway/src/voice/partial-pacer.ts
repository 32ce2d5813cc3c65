/** Of an utterance shorter than this nothing is told before its end. */
const MIN_AUDIO_MS = 500;
/** A partial comes only when so much more was heard. */
const MIN_GROWTH_MS = 200;

/** Decides when the text of one utterance is told: not too early, not too often, and only when it has changed. */
export class PartialPacer {
  readonly #intervalMs: number;
  #told = '';
  #toldMs = Number.NEGATIVE_INFINITY;
  #toldAudioMs = MIN_AUDIO_MS - MIN_GROWTH_MS;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * How long it is at least until `text` may be told, as things stand: 0 for now, undefined when there is nothing to tell.
   * `stretch`: a partial comes once in so many intervals.
   */
  waitMs(text: string, nowMs: number, audioMs: number, stretch: number): number | undefined {
    if (text === '' || text === this.#told) return undefined;
    const dueMs = this.#toldMs + stretch * this.#intervalMs - nowMs;
    const missingMs = this.#toldAudioMs + MIN_GROWTH_MS - audioMs;
    return Math.max(0, dueMs, missingMs);
  }

  told(text: string, nowMs: number, audioMs: number): void {
    this.#told = text;
    this.#toldMs = nowMs;
    this.#toldAudioMs = audioMs;
  }
}
