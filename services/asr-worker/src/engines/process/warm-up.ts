import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { ChildEnd, ChildListener, SpeechChild } from './child.ts';

const SILENCE = Buffer.alloc(1 * SAMPLE_RATE * BYTES_PER_SAMPLE);

/**
 * A whole life of the process on one second of silence. A silent process says nothing of being ready, so that it ends
 * well is the only proof that program and model work; the model is then also in the page cache.
 */
export class WarmUp {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #child: SpeechChild | undefined;
  #timer: Timer | undefined;
  #why: string | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Settles when the process ended well; rejects with one sentence when it did not, or not in time. */
  async run(startChild: (listener: ChildListener) => SpeechChild): Promise<void> {
    const end = await new Promise<ChildEnd>((resolve) => {
      const child = startChild({ onText: () => {}, onGone: resolve });
      this.#child = child;
      this.#timer = this.#clock.after(this.#timeoutMs, () =>
        this.cancel(`it was not done within ${this.#timeoutMs} ms`),
      );
      child.write(SILENCE, () => child.end());
    });
    this.#timer?.cancel();
    if (end.kind === 'exited' && end.code === 0 && this.#why === undefined) return;
    throw new Error(`the speech process failed on a second of silence: ${this.#why ?? end.how}`);
  }

  /** Kills the process, if there is one. */
  cancel(why: string): void {
    this.#why ??= why;
    this.#child?.kill();
  }
}
