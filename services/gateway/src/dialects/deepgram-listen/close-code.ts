import type { CloseReason } from '@voice-fleet/protocol/session';

/** Why a stream is closed, in Deepgram's words where it has some. Its SDKs come again after all but 1000 and 1008. */
export function closeCode(reason: CloseReason): { code: number; reason: string } {
  switch (reason.kind) {
    case 'ended':
    case 'gone':
      return { code: 1000, reason: '' };
    case 'idle':
      return { code: 1011, reason: 'NET-0001: no audio and no KeepAlive came in time' };
    case 'max-duration':
      return { code: 1011, reason: 'NET-0002: the stream is as long as it may be' };
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
