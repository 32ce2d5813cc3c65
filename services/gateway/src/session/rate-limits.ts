import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand } from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { SessionLimits } from './limits.ts';
import { RateWindow } from './rate-window.ts';

/** What counts in which limit. */
const COUNTED: Partial<Record<ClientCommand['kind'], 'message' | 'cancel'>> = {
  audio: 'message',
  start: 'message',
  finalize: 'message',
  configure: 'message',
  // Of listening sessions. One frame is one message, whatever it means.
  listen: 'message',
  clear: 'message',
  several: 'message',
  cancel: 'cancel',
};

/** How often one client may send messages and cancel. */
export class RateLimits {
  readonly #limits: SessionLimits;
  readonly #messages: RateWindow;
  readonly #cancels: RateWindow;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
    this.#messages = new RateWindow(limits.messagesPerWindow, limits.messageWindowMs);
    this.#cancels = new RateWindow(limits.cancelsPerWindow, limits.cancelWindowMs);
  }

  /** Counts a command, and tells as what; throws VoiceError when it is one too many. */
  count(
    command: ClientCommand['kind'],
    clock: Pick<Clock, 'now'>,
  ): 'message' | 'cancel' | undefined {
    const kind = COUNTED[command];
    if (kind === undefined) return undefined;
    const waitMs = (kind === 'message' ? this.#messages : this.#cancels).take(clock.now());
    if (waitMs === 0) return kind;
    const limits = this.#limits;
    const limit = kind === 'message' ? limits.messagesPerWindow : limits.cancelsPerWindow;
    const windowMs = kind === 'message' ? limits.messageWindowMs : limits.cancelWindowMs;
    throw new VoiceError(`${kind}_rate_limited`, {
      details: { kind, limit, window_seconds: windowMs / 1000, retry_in: Math.ceil(waitMs) / 1000 },
    });
  }
}
