import type { ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** A worker that settled so much audio was sound: what it ended of is not counted with what comes next. */
const PROGRESS_SAMPLES = 10 * SAMPLE_RATE;

/** In the details of an error: there is no other worker, as far as the fleet knows. */
export const NO_WORKERS = 'no_workers';

export interface FailoverLimits {
  /** An utterance without a worker for so long fails. */
  readonly timeoutMs: number;
  /** An utterance that lost so many workers in a row may be the cause of it, and is not tried on another one. */
  readonly maxLosses: number;
}

/** How long and how often one session's utterances may be without a worker, and what to say when it is too much. */
export class Failover {
  readonly #clock: Clock;
  readonly #limits: FailoverLimits;
  readonly #onTimeout: (code: ErrorCode) => void;
  /** Why the open utterance is without a worker. */
  #trouble: ErrorCode | undefined;
  #losses = 0;
  #lostAtSample = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, limits: FailoverLimits, onTimeout: (code: ErrorCode) => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#onTimeout = onTimeout;
  }

  /** The worker was lost, with all words before `settledSample` told. False: it was one too many. */
  lost(code: ErrorCode, settledSample: number): boolean {
    if (!this.count(settledSample)) return false;
    this.wait(code);
    return true;
  }

  /** The worker is of no use to the utterance, though it works on. False: it was one too many. */
  count(settledSample: number): boolean {
    if (settledSample >= this.#lostAtSample + PROGRESS_SAMPLES) this.#losses = 0;
    this.#lostAtSample = settledSample;
    this.#losses += 1;
    return this.#losses <= this.#limits.maxLosses;
  }

  /** An utterance needs a worker and there is none. */
  wait(code: ErrorCode): void {
    this.#trouble = code;
    this.#timer ??= this.#clock.after(this.#limits.timeoutMs, () => {
      this.stop();
      this.#onTimeout(code);
    });
  }

  /**
   * No worker was to be had: what the utterance fails with if it is no use to try again. A worker that is there but cannot
   * go on is not tried again when it is the only one.
   */
  refused(error: VoiceError): ErrorCode | undefined {
    const isThere = this.#trouble === 'engine_failed' || this.#trouble === 'inbound_queue_full';
    return isThere && error.details['reason'] === NO_WORKERS ? this.#trouble : undefined;
  }

  /** There is a worker, or none is needed any more. */
  stop(): void {
    this.#trouble = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
