import { Resampler } from './resampler.js';

const RATE = 16_000;
/** 100 ms: small enough for a lively transcript, far below what a frame may have. */
const FRAME_SAMPLES = 1_600;

/** Makes PCM16 frames at 16 kHz of what the microphone gives, and posts each with its level. */
class FrameProcessor extends AudioWorkletProcessor {
  // In a context at 16 kHz the browser has done it.
  #resampler = sampleRate === RATE ? undefined : new Resampler(sampleRate, RATE);
  #frame = new Int16Array(FRAME_SAMPLES);
  #length = 0;
  #squares = 0;

  process([channels]) {
    const [mono] = channels;
    if (mono === undefined) return true;
    const samples = this.#resampler?.process(mono) ?? mono;
    for (const sample of samples) this.#take(sample);
    return true;
  }

  #take(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.#frame[this.#length] = Math.round(clipped * 0x7fff);
    this.#squares += clipped * clipped;
    this.#length += 1;
    if (this.#length === FRAME_SAMPLES) this.#post();
  }

  #post() {
    const pcm = this.#frame.buffer;
    const level = Math.sqrt(this.#squares / FRAME_SAMPLES);
    this.port.postMessage({ pcm, level }, [pcm]);
    this.#frame = new Int16Array(FRAME_SAMPLES);
    this.#length = 0;
    this.#squares = 0;
  }
}

registerProcessor('pcm-frames', FrameProcessor);
