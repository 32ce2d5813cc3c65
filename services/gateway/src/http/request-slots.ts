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

/** Of all slots, one tenant may have these at the most: its slow requests leave room for others. */
const SHARE = 3 / 4;

/** How many large requests a process works on at once, and who waits for them when it stops. */
export class RequestSlots {
  readonly #max: number;
  readonly #stopped = new AbortController();
  readonly #share: number;
  readonly #ofTenant = new Map<string, number>();
  #running = 0;
  #stopping = false;
  #onEmpty: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
    this.#share = Math.ceil(max * SHARE);
  }

  /**
   * Throws VoiceError at_capacity when there are too many, too_many_sessions when too many are this tenant's, and
   * fleet_unavailable when this process is about to stop.
   */
  enter(tenantId: string): RequestSlot {
    const details = { retry_after_s: RETRY_S };
    if (this.#stopping) throw new VoiceError('fleet_unavailable', { details });
    if (this.#running >= this.#max) {
      throw new VoiceError('at_capacity', {
        message: 'As many recordings are being worked on as may be. Try again shortly.',
        details,
      });
    }
    const ofTenant = this.#ofTenant.get(tenantId) ?? 0;
    if (ofTenant >= this.#share) {
      throw new VoiceError('too_many_sessions', {
        message: 'Your tenant has as many recordings under way as it may. Wait for one to end.',
        details,
      });
    }
    this.#ofTenant.set(tenantId, ofTenant + 1);
    this.#running += 1;
    let hasLeft = false;
    return {
      signal: this.#stopped.signal,
      leave: () => {
        if (hasLeft) return;
        hasLeft = true;
        this.#running -= 1;
        const left = (this.#ofTenant.get(tenantId) ?? 1) - 1;
        if (left > 0) this.#ofTenant.set(tenantId, left);
        else this.#ofTenant.delete(tenantId);
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
