import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

const SAMPLES_PER_MS = SAMPLE_RATE / 1000;

export interface QuietWatchDeps {
  readonly clock: Clock;
  /** Nothing was said since `sample`. */
  readonly onQuiet: (sample: number) => void;
  /** Audio waits that nobody has heard. */
  readonly behind: () => boolean;
}

/** Tells once after each utterance with words that nothing was said for a while: by the clock, as silence may not be sent. */
export class QuietWatch {
  readonly #deps: QuietWatchDeps;
  /** Absent: it is not asked for. */
  quietMs: number | undefined;
  #sinceSample: number | undefined;
  #timer: Timer | undefined;

  constructor(deps: QuietWatchDeps) {
    this.#deps = deps;
  }

  /** A speaker is heard. */
  speech(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Somebody may be speaking. */
  guess(): void {
    if (this.#timer === undefined || this.quietMs === undefined) return;
    this.#timer.cancel();
    this.#wait(this.quietMs);
  }

  /** An utterance is over, and audio heard up to `heardSample`; its last word, if it had any, ended at `sample`. */
  over(sample: number | undefined, heardSample: number): void {
    this.speech();
    if (sample !== undefined) this.#sinceSample = sample;
    if (this.quietMs === undefined || this.#sinceSample === undefined) return;
    const heardMs = (heardSample - this.#sinceSample) / SAMPLES_PER_MS;
    this.#wait(Math.max(0, this.quietMs - heardMs));
  }

  stop(): void {
    this.speech();
    this.#sinceSample = undefined;
  }

  #wait(ms: number): void {
    this.#timer = this.#deps.clock.after(ms, () => this.#due());
  }

  #due(): void {
    this.#timer = undefined;
    const sample = this.#sinceSample;
    if (sample === undefined || this.quietMs === undefined) return;
    // It may be speech.
    if (this.#deps.behind()) return this.#wait(this.quietMs);
    this.#sinceSample = undefined;
    this.#deps.onQuiet(sample);
  }
}
