import { Framer } from './framer.ts';
import { rmsDbfs } from './level.ts';
import { NoiseFloor } from './noise-floor.ts';
import { BYTES_PER_SAMPLE } from './pcm.ts';

/** 10 ms. */
const STEP_SAMPLES = 160;
const STEP_BYTES = STEP_SAMPLES * BYTES_PER_SAMPLE;

/** Follows a stream of PCM16 LE and tells how much of it may be speech, and how long it has been quiet. Keeps no audio. */
export class SpeechMeter {
  readonly #floor = new NoiseFloor();
  readonly #framer = new Framer(STEP_BYTES, (pcm, fromByte) => this.#step(pcm, fromByte));
  #voicedSamples = 0;
  #pauseSamples = 0;

  /** Audio with a voice in it so far, in steps of 10 ms. */
  get voicedSamples(): number {
    return this.#voicedSamples;
  }

  /** How long there has been none, up to the last whole 10 ms. */
  get pauseSamples(): number {
    return this.#pauseSamples;
  }

  observe(pcm: Buffer): void {
    this.#framer.push(pcm);
  }

  #step(pcm: Buffer, fromByte: number): void {
    if (this.#floor.isVoiced(rmsDbfs(pcm, fromByte, fromByte + STEP_BYTES))) {
      this.#voicedSamples += STEP_SAMPLES;
      this.#pauseSamples = 0;
    } else {
      this.#pauseSamples += STEP_SAMPLES;
    }
  }
}
