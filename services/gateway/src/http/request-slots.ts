import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';

/** When to come again, as nobody knows how long the requests under way will take. */
const RETRY_S = 2;

export interface RequestSlot {
  /** Aborts when this process is to stop and has waited for the request long enough. */
  readonly signal: AbortSignal;
  /** The request is over. Safe twice. */
  leave(): void;
}

/** How many large requests a process works on at once, and who waits for them when it stops. */
export class RequestSlots {
  readonly #max: number;
  readonly #stopped = new AbortController();
  #running = 0;
  #stopping = false;
  #onEmpty: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** Throws VoiceError at_capacity when there are too many, fleet_unavailable when this process is about to stop. */
  enter(): RequestSlot {
    const details = { retry_after_s: RETRY_S };
    if (this.#stopping) throw new VoiceError('fleet_unavailable', { details });
    if (this.#running >= this.#max) {
      throw new VoiceError('at_capacity', {
        message: 'As many recordings are being worked on as may be. Try again shortly.',
        details,
      });
    }
    this.#running += 1;
    let left = false;
    return {
      signal: this.#stopped.signal,
      leave: () => {
        if (left) return;
        left = true;
        this.#running -= 1;
        if (this.#running === 0) this.#onEmpty?.();
      },
    };
  }

  /** Takes no more, gives those under way `graceMs`, then aborts them; settles when all have left. */
  async drain(clock: Clock, graceMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#running === 0) return;
    const late = clock.after(graceMs, () => this.#stopped.abort());
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    late.cancel();
  }
}
