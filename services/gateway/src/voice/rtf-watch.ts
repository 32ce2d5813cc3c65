import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

const SAMPLES_PER_MS = SAMPLE_RATE / 1000;
/** So much slower than speech, and twice in a row, is worth an advice. */
const SLOW = 1.5;
/** A run over less audio says nothing. */
const MIN_AUDIO_MS = 200;
/** A change by less of the factor last noted is none. */
const CHANGE = 0.2;

export interface DecodeRun {
  /** Time the engine took, by the time of the audio: below 1 it keeps up. */
  readonly rtf: number;
  readonly ms: number;
  /** It differs by more than a fifth from the factor of the last run that did. */
  readonly changed: boolean;
  /** It was too slow, as was the one before. */
  readonly slow: boolean;
}

/** How fast the engine is, by what it tells of one utterance after the other. A run is what it did in one interval. */
export class RtfWatch {
  readonly #intervalMs: number;
  #runs = 0;
  #totalMs = 0;
  #sample = 0;
  #workMs = 0;
  #sinceMs = 0;
  /** The latest told, of which no run was made yet. */
  #seenSample = 0;
  #seenMs = 0;
  #noted = 0;
  #slowRuns = 0;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** An utterance begins at `sample` of the session clock. */
  begin(sample: number, nowMs: number): void {
    this.#runs = 0;
    this.#totalMs = 0;
    this.#restart(sample, 0, nowMs);
  }

  /** The engine has taken all before `sample`, for which it worked `workMs` in all. */
  heard(sample: number, workMs: number, nowMs: number): DecodeRun | undefined {
    // Another worker counts anew, and hears some audio again.
    if (sample < this.#seenSample || workMs < this.#seenMs) this.#restart(sample, workMs, nowMs);
    this.#seenSample = sample;
    this.#seenMs = workMs;
    return nowMs - this.#sinceMs >= this.#intervalMs ? this.#run(nowMs) : undefined;
  }

  /** The utterance is over: what was heard since the last run is one, too. */
  finish(nowMs: number): DecodeRun | undefined {
    return this.#run(nowMs);
  }

  /** Runs of the utterance so far, and the time they took. */
  get total(): { readonly runs: number; readonly ms: number } {
    return { runs: this.#runs, ms: Math.round(this.#totalMs) };
  }

  #restart(sample: number, workMs: number, nowMs: number): void {
    this.#sample = sample;
    this.#workMs = workMs;
    this.#seenSample = sample;
    this.#seenMs = workMs;
    this.#sinceMs = nowMs;
  }

  #run(nowMs: number): DecodeRun | undefined {
    const audioMs = (this.#seenSample - this.#sample) / SAMPLES_PER_MS;
    if (audioMs < MIN_AUDIO_MS) return undefined;
    const ms = this.#seenMs - this.#workMs;
    this.#restart(this.#seenSample, this.#seenMs, nowMs);
    const rtf = ms / audioMs;
    this.#runs += 1;
    this.#totalMs += ms;
    const changed = Math.abs(rtf - this.#noted) > CHANGE * this.#noted;
    if (changed) this.#noted = rtf;
    this.#slowRuns = rtf > SLOW ? this.#slowRuns + 1 : 0;
    return { rtf, ms, changed, slow: this.#slowRuns >= 2 };
  }
}
