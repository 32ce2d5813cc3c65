import { Framer } from '@voice-fleet/speech/framer';
import { rmsDbfs } from '@voice-fleet/speech/level';
import { NoiseFloor, VOICE_MARGIN_DB } from '@voice-fleet/speech/noise-floor';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import type { Vad, VadListener, VadStream } from './vad.ts';

/** 32 ms: a step of Silero, for which this one stands in. */
export const FRAME_SAMPLES = 512;
export const FRAME_BYTES = FRAME_SAMPLES * BYTES_PER_SAMPLE;
const STEPS = 4;
const STEP_BYTES = FRAME_BYTES / STEPS;
/** A click fills one. */
const MIN_VOICED_STEPS = 2;
/** A voice as loud as the noise lifts the level by 3 dB on average, by more where it is loudest. */
const STIR_MARGIN_DB = 3;

/** Judges frames of 32 ms by their level against that of the background, which it learns. */
export class EnergyJudge {
  readonly #floor = new NoiseFloor();
  /** The last frame stood out so far that a voice cannot be excluded. */
  stirs = false;

  isVoiced(pcm: Buffer, fromByte: number): boolean {
    let voicedSteps = 0;
    this.stirs = false;
    for (let step = 0; step < STEPS; step += 1) {
      const at = fromByte + step * STEP_BYTES;
      const excessDb = this.#floor.excessDb(rmsDbfs(pcm, at, at + STEP_BYTES));
      if (excessDb > STIR_MARGIN_DB) this.stirs = true;
      if (excessDb > VOICE_MARGIN_DB) voicedSteps += 1;
    }
    return voicedSteps >= MIN_VOICED_STEPS;
  }
}

/** The detector that is always there. Takes typing and music for voices. */
export class EnergyVad implements Vad {
  readonly name = 'energy' as const;

  open(listener: VadListener): VadStream {
    const judge = new EnergyJudge();
    let open = true;
    let sample = 0;
    const framer = new Framer(FRAME_BYTES, (pcm, fromByte) => {
      if (!open) return;
      const fromSample = sample;
      sample += FRAME_SAMPLES;
      listener(fromSample, sample, judge.isVoiced(pcm, fromByte));
    });
    return {
      push: (pcm) => framer.push(pcm),
      close: () => {
        open = false;
      },
    };
  }

  async stop(): Promise<void> {}
}
