import { AudioQueue } from '@voice-fleet/speech/audio-queue';
import { AudioTail } from '@voice-fleet/speech/audio-tail';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { SpeechMeter } from '@voice-fleet/speech/speech-meter';

/** Engines get audio in pieces of at most 100 ms, so that a drop or a cancel takes effect at once. */
const PIECE_SAMPLES = 1600;

/** The most that another worker may owe: what a gateway keeps. */
const MAX_OWED_SAMPLES = 60 * SAMPLE_RATE;

export interface AudioSourceOptions {
  readonly fromSample: number;
  /** Up to here the audio is owed from before: none of it is dropped. Default: `fromSample`. */
  readonly liveSample?: number;
  /** Audio that may wait; older is dropped. 0 drops nothing. */
  readonly maxBacklogSamples: number;
  /** Audio already read that can be read again. */
  readonly replaySamples: number;
}

/** The audio of one utterance as its segments read it: what waits, and what was read lately, for overlaps and replays. */
export class AudioSource {
  readonly #options: AudioSourceOptions;
  /** What waits of the audio that is owed, in front of all other; absent when it was read. */
  #owed: AudioQueue | undefined;
  /** Samples of it that have not come yet. */
  #missing: number;
  readonly #queue: AudioQueue;
  readonly #tail: AudioTail;
  #meter = new SpeechMeter();
  /** Where the next piece begins; before the end of the tail while it is read again. */
  #cursor: number;
  /** The last gap too long to replay: audio before it is forgotten, audio in it was dropped. */
  #gap: { readonly fromSample: number; readonly untilSample: number };

  constructor(options: AudioSourceOptions) {
    const { fromSample, liveSample = fromSample } = options;
    this.#options = options;
    this.#missing = Math.min(MAX_OWED_SAMPLES, Math.max(0, liveSample - fromSample));
    if (this.#missing > 0) this.#owed = new AudioQueue(0, fromSample);
    this.#queue = new AudioQueue(options.maxBacklogSamples, fromSample + this.#missing);
    this.#tail = new AudioTail(options.replaySamples, fromSample);
    this.#cursor = fromSample;
    this.#gap = { fromSample, untilSample: fromSample };
  }

  /** Returns how many samples were dropped for it. */
  push(pcm: Buffer): number {
    const owedBytes = Math.min(pcm.length, this.#missing * BYTES_PER_SAMPLE);
    if (owedBytes > 0) {
      this.#owed?.push(pcm.subarray(0, owedBytes));
      this.#missing -= owedBytes / BYTES_PER_SAMPLE;
    }
    return owedBytes < pcm.length ? this.#queue.push(pcm.subarray(owedBytes)) : 0;
  }

  /** Whether audio that is owed from before waits, or is still to come. */
  get owes(): boolean {
    return this.#owed !== undefined;
  }

  /** Where on the session clock the next piece begins. */
  get cursor(): number {
    return this.#cursor < this.#tail.endSample ? this.#cursor : this.readSample;
  }

  /** All audio before this was read at least once, or dropped. */
  get readSample(): number {
    return (this.#owed ?? this.#queue).headSample;
  }

  /** Where audio that was read lately ends: at `readSample`, unless audio was dropped since. */
  get endSample(): number {
    return this.#tail.endSample;
  }

  /** Samples that wait to be read, again or for the first time. */
  get samples(): number {
    return this.freshSamples + Math.max(0, this.#tail.endSample - this.#cursor);
  }

  /** Samples that wait and were never read. */
  get freshSamples(): number {
    return this.#queue.samples + (this.#owed?.samples ?? 0);
  }

  /** How long the speaker had been quiet at `cursor`; 0 while audio is read again. */
  get pauseSamples(): number {
    return this.#cursor < this.#tail.endSample ? 0 : this.#meter.pauseSamples;
  }

  /** The next piece, of up to `maxSamples`; it begins at `cursor` as it was before. Undefined when there is none. */
  read(maxSamples: number): Buffer | undefined {
    const wanted = Math.min(PIECE_SAMPLES, maxSamples);
    if (this.#cursor < this.#tail.endSample) {
      const again = this.#tail.slice(this.#cursor, wanted);
      this.#cursor += again.length >> 1;
      return again;
    }
    const fromSample = this.readSample;
    const pcm = (this.#owed ?? this.#queue).take(wanted);
    if (pcm === undefined) return undefined;
    if (this.#owed?.samples === 0 && this.#missing === 0) this.#owed = undefined;
    if (fromSample !== this.#tail.endSample) this.#skipTo(fromSample);
    this.#tail.append(pcm);
    this.#meter.observe(pcm);
    this.#cursor = this.#tail.endSample;
    return pcm;
  }

  /**
   * Goes back so that audio from `sample` on is read again, as far as it is kept. Returns how much of it from `neededSample`
   * on is lost.
   */
  rewind(sample: number, neededSample: number): number {
    this.#cursor = Math.min(this.#tail.endSample, Math.max(sample, this.#tail.fromSample));
    const { fromSample, untilSample } = this.#gap;
    const beforeGap = Math.max(0, fromSample - neededSample);
    return beforeGap + Math.max(0, this.#tail.fromSample - Math.max(neededSample, untilSample));
  }

  /** While an engine recovers, what the replay can hold may also wait. */
  set patient(patient: boolean) {
    const { maxBacklogSamples, replaySamples } = this.#options;
    if (maxBacklogSamples === 0) return;
    this.#queue.maxSamples = patient
      ? Math.max(maxBacklogSamples, replaySamples)
      : maxBacklogSamples;
  }

  clear(): void {
    this.#owed?.clear();
    this.#queue.clear();
  }

  /** Audio was dropped. A replay has silence for it, so that what was read before is not lost as well. */
  #skipTo(sample: number): void {
    const { endSample } = this.#tail;
    const dropped = sample - endSample;
    if (dropped < this.#options.replaySamples) {
      this.#tail.append(Buffer.alloc(dropped * BYTES_PER_SAMPLE));
    } else {
      this.#tail.reset(sample);
      this.#gap = { fromSample: endSample, untilSample: sample };
    }
    this.#meter = new SpeechMeter();
  }
}
