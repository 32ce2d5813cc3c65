import { BYTES_PER_SAMPLE } from './pcm.ts';

/** The newest audio fed to the engine, for the overlap at a segment roll. A ring, allocated once. */
export class AudioTail {
  readonly #ring: Buffer;
  #heldBytes = 0;
  #writeAt = 0;
  #endSample: number;

  constructor(maxSamples: number, fromSample = 0) {
    this.#ring = Buffer.allocUnsafeSlow(maxSamples * BYTES_PER_SAMPLE);
    this.#endSample = fromSample;
  }

  /** Where on the session clock the audio held begins. */
  get fromSample(): number {
    return this.#endSample - this.#heldBytes / BYTES_PER_SAMPLE;
  }

  /** Where it ends. */
  get endSample(): number {
    return this.#endSample;
  }

  append(pcm: Buffer): void {
    if (pcm.length % BYTES_PER_SAMPLE !== 0) throw new RangeError('PCM16 holds half a sample');
    this.#endSample += pcm.length / BYTES_PER_SAMPLE;
    const kept = pcm.subarray(Math.max(0, pcm.length - this.#ring.length));
    const first = kept.copy(this.#ring, this.#writeAt);
    kept.copy(this.#ring, 0, first);
    if (this.#ring.length === 0) return;
    this.#writeAt = (this.#writeAt + kept.length) % this.#ring.length;
    this.#heldBytes = Math.min(this.#ring.length, this.#heldBytes + kept.length);
  }

  /** A copy of the newest `samples`, or of all there is. */
  last(samples: number): Buffer {
    const bytes = Math.min(this.#heldBytes, Math.max(0, samples) * BYTES_PER_SAMPLE);
    const copy = Buffer.allocUnsafeSlow(bytes);
    const from = this.#writeAt - bytes;
    if (from >= 0) {
      this.#ring.copy(copy, 0, from, this.#writeAt);
    } else {
      const wrapped = this.#ring.copy(copy, 0, this.#ring.length + from);
      this.#ring.copy(copy, wrapped, 0, this.#writeAt);
    }
    return copy;
  }

  /** Forgets the audio and continues at `fromSample`. */
  reset(fromSample: number): void {
    this.#heldBytes = 0;
    this.#writeAt = 0;
    this.#endSample = fromSample;
  }
}
