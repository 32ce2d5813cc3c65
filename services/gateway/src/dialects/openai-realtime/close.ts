import type { CloseReason } from '@voice-fleet/protocol/session';

/** Codes that clients of OpenAI act on: after 1012 they dial again. */
export function closeOf(reason: CloseReason): { readonly code: number; readonly reason: string } {
  switch (reason.kind) {
    case 'ended':
    case 'gone':
      return { code: 1000, reason: 'OK' };
    case 'idle':
      return { code: 1000, reason: 'idle for too long' };
    case 'max-duration':
      return { code: 1012, reason: 'session is as long as it may be, reconnect' };
    case 'shutdown':
    case 'resumed-elsewhere':
      return { code: 1012, reason: 'shutting down, reconnect' };
    case 'unresponsive':
      return { code: 1012, reason: 'no answer to ping' };
    case 'slow-reader':
      return { code: 1008, reason: 'client reads too slowly' };
    case 'error': {
      const { status, message } = reason.error;
      if (status === 503) return { code: 1012, reason: message };
      return { code: status >= 500 ? 1011 : 1008, reason: message };
    }
  }
}
