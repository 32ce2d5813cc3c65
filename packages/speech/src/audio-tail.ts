import { BYTES_PER_SAMPLE } from './pcm.ts';

/** The newest audio fed to the engine, from which a segment's overlap and a replay are read. A ring, allocated once. */
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

  /** A copy of up to `samples` from `fromSample` on, of what of them is held. */
  slice(fromSample: number, samples: number): Buffer {
    const start = Math.max(fromSample, this.fromSample);
    const end = Math.min(fromSample + samples, this.#endSample);
    const bytes = Math.max(0, end - start) * BYTES_PER_SAMPLE;
    const copy = Buffer.allocUnsafeSlow(bytes);
    if (bytes === 0) return copy;
    const size = this.#ring.length;
    const from = (this.#writeAt + size - (this.#endSample - start) * BYTES_PER_SAMPLE) % size;
    const wrapped = this.#ring.copy(copy, 0, from, Math.min(size, from + bytes));
    this.#ring.copy(copy, wrapped, 0, bytes - wrapped);
    return copy;
  }

  /** Forgets the audio and continues at `fromSample`. */
  reset(fromSample: number): void {
    this.#heldBytes = 0;
    this.#writeAt = 0;
    this.#endSample = fromSample;
  }
}
