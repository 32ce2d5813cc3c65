import { backoffMs } from '@voice-fleet/runtime/backoff';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** The first attempt is made at once: most faults are of one connection only. */
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 4_000;
/** An engine that has heard so much since its last fault is sound. */
const STABLE_SAMPLES = 10 * SAMPLE_RATE;

/** How often one utterance may start over. Counts faults that follow each other without much audio heard between them. */
export class RecoveryBudget {
  readonly #maxAttempts: number;
  #attempt = 0;
  #faultAtSample = 0;

  constructor(maxAttempts: number) {
    this.#maxAttempts = maxAttempts;
  }

  /** Faults in a row. */
  get attempt(): number {
    return this.#attempt;
  }

  /** A fault, with all audio up to `heardSample` heard. Returns how long to wait before the next attempt; undefined: there is none. */
  spend(heardSample: number, random?: () => number): number | undefined {
    this.#attempt += 1;
    this.#faultAtSample = heardSample;
    if (this.#attempt > this.#maxAttempts) return undefined;
    if (this.#attempt === 1) return 0;
    return backoffMs(this.#attempt - 2, FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS, random);
  }

  /** The engine has heard all audio up to this sample. */
  heard(sample: number): void {
    if (this.#attempt > 0 && sample >= this.#faultAtSample + STABLE_SAMPLES) this.#attempt = 0;
  }
}
