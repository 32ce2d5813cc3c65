import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { ReplayBuffer } from '@voice-fleet/speech/replay-buffer';

/** With so much audio waiting the client is not read until half of it is gone: 60 s. */
const HELD_SAMPLES = 60 * SAMPLE_RATE;
/** Of the longest frame that is taken: 1 MiB of telephone audio is shorter. */
export const MAX_FRAME_S = 132;
/** What is read all the same: two such frames. Of more the oldest would be let go. */
const SLACK_SAMPLES = 2 * MAX_FRAME_S * SAMPLE_RATE;

const NOTHING: readonly Buffer[] = [];

/** Audio that the session has no room for, by where it lies on the client's clock. */
export class WaitingAudio {
  readonly #holdInput: (hold: boolean) => void;
  /** All that was received from some sample on. */
  #buffer: ReplayBuffer | undefined;
  #holding = false;

  /** `holdInput`: too much waits (true), or no longer. */
  constructor(holdInput: (hold: boolean) => void) {
    this.#holdInput = holdInput;
  }

  /** Where it begins; what came before was let go. */
  get fromSample(): number {
    return this.#buffer?.fromSample ?? 0;
  }

  push(pcm: Buffer, fromSample: number): void {
    this.#buffer ??= new ReplayBuffer(HELD_SAMPLES + SLACK_SAMPLES, fromSample);
    this.#buffer.append(pcm);
  }

  pieces(fromSample: number): Iterable<Buffer> {
    return this.#buffer?.pieces(fromSample) ?? NOTHING;
  }

  /** Nothing before `sample` is needed any more, of all that was received up to `endSample`. */
  forgetBefore(sample: number, endSample: number): void {
    if (sample >= endSample) this.#buffer = undefined;
    else this.#buffer?.forgetBefore(sample);
    const hold = endSample - sample > (this.#holding ? HELD_SAMPLES / 2 : HELD_SAMPLES);
    if (hold === this.#holding) return;
    this.#holding = hold;
    this.#holdInput(hold);
  }
}
