import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** Speech begins with so many voiced frames among the last ones: a click or a cough has fewer. */
const START_VOICED = 4;
const START_WINDOW = 6;
/** While it goes on, a voiced frame counts if one of the two before it was voiced. */
const GOING_ON_WINDOW = 3;
/** The longest frame of a detector: audio shorter than that at the end is never judged. */
const MAX_FRAME_SAMPLES = 0.04 * SAMPLE_RATE;
/** Audio that is sent in pieces may be so late. */
const JITTER_MS = 100;

const SAMPLES_PER_MS = SAMPLE_RATE / 1000;

export interface EndpointerOptions {
  readonly clock: Clock;
  /** Where the audio begins. */
  readonly fromSample: number;
  readonly silenceMs: number;
  /** The speaker was heard before this audio already, from `sample` on. */
  readonly startedSample?: number | undefined;
  /** At most once. */
  readonly onStarted: (sample: number) => void;
  /** At most once, and only after `onStarted`. Nothing is told after it. */
  readonly onEnded: (sample: number) => void;
}

/**
 * Finds where the speaker begins, and where nothing was said for so long. Silence is measured in audio as long as audio
 * comes, so that audio which comes faster than it was spoken ends nothing early; and by the clock on top of it when the
 * client sends no more. Sample numbers are on the session clock.
 */
export class Endpointer {
  readonly #options: EndpointerOptions;
  readonly #silenceSamples: number;
  /** The last frames, a bit each, the newest lowest. */
  #voiced = 0;
  #state: 'quiet' | 'speaking' | 'over' = 'quiet';
  /** Where the voice was last heard. */
  #voicedUntil: number;
  #judgedUntil: number;
  #receivedUntil: number;
  #receivedMs: number;
  /** What a client that sends in large pieces needs for the next one. */
  #pieceMs = 0;
  #timer: Timer | undefined;

  constructor(options: EndpointerOptions) {
    const { fromSample, silenceMs, startedSample } = options;
    this.#options = options;
    this.#silenceSamples = silenceMs * SAMPLES_PER_MS;
    this.#voicedUntil = fromSample;
    this.#judgedUntil = fromSample;
    this.#receivedUntil = fromSample;
    this.#receivedMs = options.clock.now();
    if (startedSample !== undefined) this.#begin(startedSample);
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  /** So much audio has come. To be told before the detector has it. */
  onAudio(samples: number): void {
    const nowMs = this.#options.clock.now();
    this.#pieceMs = Math.min(nowMs - this.#receivedMs, samples / SAMPLES_PER_MS);
    this.#receivedMs = nowMs;
    this.#receivedUntil += samples;
  }

  /** The detector has judged a frame. */
  onFrame(fromSample: number, untilSample: number, voiced: boolean): void {
    if (this.#state === 'over') return;
    this.#judgedUntil = untilSample;
    this.#voiced = ((this.#voiced << 1) | (voiced ? 1 : 0)) & ((1 << START_WINDOW) - 1);
    if (this.#state === 'quiet') {
      if (!voiced || ones(this.#voiced) < START_VOICED) return;
      // Frames of one detector are equally long.
      const before = 31 - Math.clz32(this.#voiced);
      this.#voicedUntil = untilSample;
      this.#begin(fromSample - before * (untilSample - fromSample));
      return;
    }
    if (voiced && ones(this.#voiced & ((1 << GOING_ON_WINDOW) - 1)) > 1)
      this.#voicedUntil = untilSample;
    // After a voiced frame the next one tells whether it was a click.
    else if (!voiced && untilSample - this.#voicedUntil >= this.#silenceSamples) this.#end();
  }

  close(): void {
    this.#state = 'over';
    this.#timer?.cancel();
  }

  #begin(sample: number): void {
    this.#state = 'speaking';
    this.#watch(this.#options.silenceMs);
    this.#options.onStarted(sample);
  }

  #end(): void {
    this.close();
    this.#options.onEnded(this.#voicedUntil);
  }

  #watch(afterMs: number): void {
    this.#timer = this.#options.clock.after(afterMs, () => this.#look());
  }

  /** Ends the utterance if the client has been quiet for so long, or looks again when it could have been. */
  #look(): void {
    const { clock, silenceMs } = this.#options;
    const isJudged = this.#receivedUntil - this.#judgedUntil < MAX_FRAME_SAMPLES;
    const quietMs = (this.#judgedUntil - this.#voicedUntil) / SAMPLES_PER_MS;
    const neededMs = Math.max(silenceMs - quietMs, this.#pieceMs) + JITTER_MS;
    const leftMs = this.#receivedMs + neededMs - clock.now();
    if (isJudged && leftMs <= 0) this.#end();
    else this.#watch(Math.max(leftMs, JITTER_MS / 2));
  }
}

function ones(bits: number): number {
  let count = 0;
  for (let rest = bits; rest > 0; rest &= rest - 1) count += 1;
  return count;
}
