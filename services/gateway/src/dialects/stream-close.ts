import type { CloseReason } from '@voice-fleet/protocol/session';

export interface StreamClose {
  readonly code: number;
  readonly reason: string;
}

/** How a stream is closed for clients that dial again after all but 1000 and 1008; what dialects name themselves is `own`. */
export function streamClose(
  reason: CloseReason,
  own: Readonly<Record<'idle' | 'max-duration', StreamClose>>,
): StreamClose {
  switch (reason.kind) {
    case 'ended':
    case 'gone':
      return { code: 1000, reason: '' };
    case 'idle':
    case 'max-duration':
      return own[reason.kind];
    case 'shutdown':
    case 'resumed-elsewhere':
      return { code: 1012, reason: 'shutting down, reconnect' };
    case 'slow-reader':
      return { code: 1008, reason: 'client reads too slowly' };
    case 'unresponsive':
      return { code: 1011, reason: 'no answer to ping' };
    case 'error':
      return { code: reason.error.status < 500 ? 1008 : 1011, reason: reason.error.message };
  }
}
