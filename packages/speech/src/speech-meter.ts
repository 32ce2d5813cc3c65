import { rmsDbfs } from './level.ts';
import { NoiseFloor } from './noise-floor.ts';
import { BYTES_PER_SAMPLE } from './pcm.ts';

/** 10 ms. */
const STEP_SAMPLES = 160;
const STEP_BYTES = STEP_SAMPLES * BYTES_PER_SAMPLE;

/** Follows a stream of PCM16 LE and tells how much of it may be speech, and how long it has been quiet. Keeps no audio. */
export class SpeechMeter {
  readonly #floor = new NoiseFloor();
  readonly #rest = Buffer.allocUnsafeSlow(STEP_BYTES);
  #restBytes = 0;
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
    let at = 0;
    if (this.#restBytes > 0) {
      at = pcm.copy(this.#rest, this.#restBytes, 0, STEP_BYTES - this.#restBytes);
      this.#restBytes += at;
      if (this.#restBytes < STEP_BYTES) return;
      this.#step(this.#rest, 0);
      this.#restBytes = 0;
    }
    for (; at + STEP_BYTES <= pcm.length; at += STEP_BYTES) {
      this.#step(pcm, at);
    }
    this.#restBytes = pcm.copy(this.#rest, 0, at);
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
