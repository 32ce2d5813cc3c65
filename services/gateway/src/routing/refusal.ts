import type { Placement } from '@voice-fleet/fleet/lease';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { NO_WORKERS } from '../session/failover.ts';

/** The longest that clients heed. */
const MAX_RETRY_S = 60;

/**
 * What a client is told that got no slot. `again`: some worker that has one did not answer; that the rest is full is a fault
 * of the fleet then, not a lack of slots.
 */
export function refusalError(
  { reason, retryAfterMs }: Extract<Placement, { kind: 'refused' }>,
  again = false,
): VoiceError {
  const details =
    retryAfterMs === undefined
      ? {}
      : { retry_after_s: Math.min(MAX_RETRY_S, Math.ceil(retryAfterMs / 100) / 10) };
  switch (reason) {
    case 'no_workers':
      return new VoiceError('fleet_unavailable', {
        details: again ? details : { ...details, reason: NO_WORKERS },
      });
    case 'full':
    case 'limit':
    case 'line_full':
      return new VoiceError(again ? 'fleet_unavailable' : 'at_capacity', { details });
    case 'tenant_sessions':
      return new VoiceError('too_many_sessions', { details });
    case 'tenant_rate':
      return new VoiceError('session_rate_limited', { details });
  }
}
