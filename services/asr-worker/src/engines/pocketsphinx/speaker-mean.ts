import { CEPSTRA } from './front-end.ts';

/** Voice that must be heard before the mean is worth using: one second, less the two frames at each block's edge. */
const PRIME_FRAMES = 80;

/**
 * Mean cepstrum of the frames that hold a voice: one speaker on one channel. Nothing moves accuracy as much as taking it
 * off; frames of silence would spoil it.
 */
export class SpeakerMean {
  readonly #sums = new Array<number>(CEPSTRA).fill(0);
  #frames = 0;

  add(cepstra: Float32Array, isVoiced: (frame: number) => boolean): void {
    for (let frame = 0; (frame + 1) * CEPSTRA <= cepstra.length; frame++) {
      if (!isVoiced(frame)) continue;
      this.#frames += 1;
      for (let at = 0; at < CEPSTRA; at++) {
        this.#sums[at] = (this.#sums[at] ?? 0) + (cepstra[frame * CEPSTRA + at] ?? 0);
      }
    }
  }

  get isPrimed(): boolean {
    return this.#frames >= PRIME_FRAMES;
  }

  /** Whatever was heard; absent where nothing was. */
  get value(): number[] | undefined {
    return this.#frames === 0 ? undefined : this.#sums.map((sum) => sum / this.#frames);
  }
}
