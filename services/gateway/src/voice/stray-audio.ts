import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';

/** Frames that were on their way when the server ended an utterance are let go so long. */
const GRACE_MS = 1_000;

/** Audio that comes while no utterance is open: answered once, then let go. */
export class StrayAudio {
  readonly #clock: Pick<Clock, 'now'>;
  #refused = false;
  #graceUntilMs = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** An utterance begins. */
  reset(): void {
    this.#refused = false;
    this.#graceUntilMs = 0;
  }

  /** The server ended an utterance, which its client cannot know yet. */
  excuse(): void {
    this.#graceUntilMs = this.#clock.now() + GRACE_MS;
  }

  /** Throws VoiceError `not_started` for the first frame of those that nothing excuses. */
  take(): void {
    if (this.#refused || this.#clock.now() < this.#graceUntilMs) return;
    this.#refused = true;
    throw new VoiceError('not_started');
  }
}
