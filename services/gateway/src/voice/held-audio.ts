import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { ReplayBuffer } from '@voice-fleet/speech/replay-buffer';

/** Of what is said before a final came, no more is kept: 10 s. What is too much is let go, the oldest first. */
const MAX_SAMPLES = 10 * SAMPLE_RATE;

/** Audio that nobody can hear yet. It is copied, so that many small frames take no more memory than a few large ones. */
export class HeldAudio {
  #buffer: ReplayBuffer | undefined;

  get empty(): boolean {
    return this.#buffer === undefined;
  }

  push(pcm: Buffer): void {
    if (pcm.length === 0) return;
    this.#buffer ??= new ReplayBuffer(MAX_SAMPLES, 0);
    this.#buffer.append(pcm);
  }

  /** All of it, once. */
  take(): readonly Buffer[] {
    const parts = [...(this.#buffer?.pieces(0) ?? [])];
    this.clear();
    return parts;
  }

  clear(): void {
    this.#buffer = undefined;
  }
}
