import type { CloseReason } from '@voice-fleet/protocol/session';

/** RFC 6455: a close frame holds 125 bytes, two of them the code. */
const MAX_CLOSE_REASON_BYTES = 123;

/** Cuts to what a close frame holds, at a character border. */
export function clipReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return reason;
  return bytes
    .subarray(0, MAX_CLOSE_REASON_BYTES)
    .toString()
    .replace(/\uFFFD+$/, '');
}

/** Whether a client whose connection ended so may take its session up again. */
export function isResumable(reason: CloseReason): boolean {
  switch (reason.kind) {
    case 'gone':
    case 'shutdown':
    case 'slow-reader':
    case 'unresponsive':
    case 'resumed-elsewhere':
      return true;
    case 'ended':
    case 'idle':
    case 'max-duration':
      return false;
    case 'error':
      return !['key_revoked', 'audio_quota_exhausted'].includes(reason.error.code);
  }
}
