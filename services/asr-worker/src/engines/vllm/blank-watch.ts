import { VLLM_FRAME_SAMPLES } from '@voice-fleet/protocol/vllm-realtime';
import { SpeechMeter } from '@voice-fleet/speech/speech-meter';

/** Deltas in a row without a word: natural pauses reach about 165 (13 s), ruts thousands. */
const SUSPICIOUS_RUN = 60;
/** Of a run, the part that sounds like speech. Pauses and noise stay well below. */
const VOICED_PART = 0.5;
/** A rut that a new stream did not mend is none: music, say. */
const PATIENCE_GROWTH = 4;
const LOOK_EVERY = 12;
/** 82 s of frames. */
const RING_FRAMES = 1024;
/** Leaves room for audio that is sent before it is answered. */
const MAX_RUN = RING_FRAMES - 64;

/**
 * Finds the rut in which the model answers speech with nothing (vllm-project/vllm#47614). Compares empty deltas with the
 * level of the audio that they are about.
 */
export class BlankWatch {
  readonly #meter = new SpeechMeter();
  readonly #suspiciousRun: number;
  /** At frame n modulo the size: samples with a voice up to its end. */
  readonly #voiced = new Float64Array(RING_FRAMES);
  #samples = 0;

  /** `rutsInARow`: streams of this speaker that were given up for a rut since the last word. */
  constructor(rutsInARow: number) {
    this.#suspiciousRun = SUSPICIOUS_RUN * PATIENCE_GROWTH ** rutsInARow;
  }

  onAudio(pcm: Buffer): void {
    for (let at = 0; at < pcm.length; ) {
      const leftBytes = (VLLM_FRAME_SAMPLES - (this.#samples % VLLM_FRAME_SAMPLES)) * 2;
      const part = pcm.subarray(at, at + leftBytes);
      this.#meter.observe(part);
      this.#samples += part.length >> 1;
      at += part.length;
      if (this.#samples % VLLM_FRAME_SAMPLES === 0)
        this.#voiced[(this.#samples / VLLM_FRAME_SAMPLES) % RING_FRAMES] =
          this.#meter.voicedSamples;
    }
  }

  /** Whether the last `run` of `count` deltas were empty over speech. */
  isRut(count: number, run: number): boolean {
    if (run < this.#suspiciousRun || run % LOOK_EVERY !== 0) return false;
    if (run > MAX_RUN || count * VLLM_FRAME_SAMPLES > this.#samples) return false;
    const voiced = this.#voicedUntil(count) - this.#voicedUntil(count - run);
    return voiced >= run * VLLM_FRAME_SAMPLES * VOICED_PART;
  }

  #voicedUntil(frame: number): number {
    return this.#voiced[frame % RING_FRAMES] ?? 0;
  }
}
