/** Samples of one 10 ms frame: the decoder's own time unit. */
export const FRAME_SAMPLES = 160;

/** dB below full scale. The floor starts where a quiet room is, and never sinks to digital silence. */
const START_FLOOR_DB = -50;
const LOWEST_FLOOR_DB = -62;
/** Speech stands out of the noise by more than this. */
const MARGIN_DB = 9;
/** So slow that words do not lift the floor, fast enough to learn steady noise. */
const FLOOR_RISE_DB_PER_FRAME = 0.03;

/**
 * Tells frames that may hold a voice from steady background by energy alone. Enough to keep silence and hiss from
 * becoming words and out of the cepstral mean; typing and music pass, they are a real detector's business.
 */
export class VoiceGate {
  readonly #voiced: boolean[] = [];
  #voicedFrames = 0;
  #floorDb = START_FLOOR_DB;

  /** Voiced frames so far. */
  get voicedFrames(): number {
    return this.#voicedFrames;
  }

  /** Takes whole frames, in order; a rest shorter than a frame is left out. */
  observe(samples: Int16Array): void {
    for (let at = 0; at + FRAME_SAMPLES <= samples.length; at += FRAME_SAMPLES) {
      const levelDb = levelOf(samples, at);
      this.#floorDb = Math.max(
        LOWEST_FLOOR_DB,
        Math.min(levelDb, this.#floorDb + FLOOR_RISE_DB_PER_FRAME),
      );
      const voiced = levelDb > this.#floorDb + MARGIN_DB;
      this.#voiced.push(voiced);
      if (voiced) this.#voicedFrames += 1;
    }
  }

  isVoiced(frame: number): boolean {
    return this.#voiced[frame] ?? false;
  }

  /** Voiced frames in `[fromFrame, toFrame)`. */
  countVoiced(fromFrame: number, toFrame: number): number {
    let count = 0;
    for (let frame = fromFrame; frame < toFrame; frame++) if (this.#voiced[frame]) count += 1;
    return count;
  }
}

function levelOf(samples: Int16Array, from: number): number {
  let energy = 0;
  for (let at = from; at < from + FRAME_SAMPLES; at++) energy += (samples[at] ?? 0) ** 2;
  return 10 * Math.log10(energy / FRAME_SAMPLES / 32_768 ** 2 + 1e-12);
}
