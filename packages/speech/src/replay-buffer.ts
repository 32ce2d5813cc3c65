import { BYTES_PER_SAMPLE } from './pcm.ts';

/** Half a second of audio. */
const SLAB_BYTES = 16_384;
const SLAB_SAMPLES = SLAB_BYTES / BYTES_PER_SAMPLE;

/**
 * The newest audio of an utterance, kept until it is known that nobody must hear it again. Bounded: at `maxSamples` the oldest
 * is given up. Holds half a second more than asked at the most, however small the chunks come.
 */
export class ReplayBuffer {
  readonly #maxSamples: number;
  #slabs: Buffer[] = [];
  /** Of the first slab. */
  #baseSample: number;
  #fromSample: number;
  #endSample: number;

  constructor(maxSamples: number, fromSample: number) {
    this.#maxSamples = maxSamples;
    this.#baseSample = fromSample;
    this.#fromSample = fromSample;
    this.#endSample = fromSample;
  }

  /** Where on the session clock the audio held begins. */
  get fromSample(): number {
    return this.#fromSample;
  }

  /** Where it ends. */
  get endSample(): number {
    return this.#endSample;
  }

  /** Copies `pcm`. */
  append(pcm: Buffer): void {
    if (pcm.length % BYTES_PER_SAMPLE !== 0) throw new RangeError('PCM16 holds half a sample');
    for (let at = 0; at < pcm.length; ) {
      const filledBytes = (this.#endSample - this.#baseSample) * BYTES_PER_SAMPLE;
      let slab = this.#slabs.at(-1);
      if (slab === undefined || filledBytes === this.#slabs.length * SLAB_BYTES) {
        slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        this.#slabs.push(slab);
      }
      const copied = pcm.copy(slab, filledBytes - (this.#slabs.length - 1) * SLAB_BYTES, at);
      at += copied;
      this.#endSample += copied / BYTES_PER_SAMPLE;
    }
    this.forgetBefore(this.#endSample - this.#maxSamples);
  }

  forgetBefore(sample: number): void {
    if (sample <= this.#fromSample) return;
    this.#fromSample = Math.min(sample, this.#endSample);
    while (this.#slabs.length > 1 && this.#baseSample + SLAB_SAMPLES <= this.#fromSample) {
      this.#slabs.shift();
      this.#baseSample += SLAB_SAMPLES;
    }
  }

  /** The audio from `fromSample` on, of what of it is held, in views of at most half a second. They stay as they are. */
  *pieces(fromSample: number): Generator<Buffer> {
    const start = Math.max(fromSample, this.#fromSample);
    for (const [index, slab] of this.#slabs.entries()) {
      const slabSample = this.#baseSample + index * SLAB_SAMPLES;
      const from = Math.max(0, start - slabSample) * BYTES_PER_SAMPLE;
      const to = Math.min(SLAB_SAMPLES, this.#endSample - slabSample) * BYTES_PER_SAMPLE;
      if (from < to) yield slab.subarray(from, to);
    }
  }
}
