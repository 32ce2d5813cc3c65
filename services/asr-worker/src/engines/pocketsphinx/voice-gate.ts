import { NoiseFloor } from '@voice-fleet/speech/noise-floor';

/** Samples of one 10 ms frame: the decoder's own time unit. */
export const FRAME_SAMPLES = 160;

/** Which frames of a segment may hold a voice: keeps silence and hiss from becoming words and out of the cepstral mean. */
export class VoiceGate {
  readonly #voiced: boolean[] = [];
  #voicedFrames = 0;
  readonly #floor = new NoiseFloor();

  /** Voiced frames so far. */
  get voicedFrames(): number {
    return this.#voicedFrames;
  }

  /** Takes whole frames, in order; a rest shorter than a frame is left out. */
  observe(samples: Int16Array): void {
    for (let at = 0; at + FRAME_SAMPLES <= samples.length; at += FRAME_SAMPLES) {
      const voiced = this.#floor.isVoiced(levelOf(samples, at));
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
