import type { CloseReason } from '@voice-fleet/protocol/session';

/** RFC 6455: a close frame holds 125 bytes, two of them the code. */
const MAX_CLOSE_REASON_BYTES = 123;

/** Why a session ended, as metrics name it. `error`: a fault of the fleet; `refused`: it may not go on, as when its key was revoked. */
export const END_REASONS = [
  'ended',
  'gone',
  'client',
  'idle',
  'max-duration',
  'shutdown',
  'resumed-elsewhere',
  'slow-reader',
  'unresponsive',
  'refused',
  'error',
] as const;
export type EndReason = (typeof END_REASONS)[number];

/** `undefined`: the client closed. */
export function endReason(reason: CloseReason | undefined): EndReason {
  if (reason === undefined) return 'client';
  if (reason.kind !== 'error') return reason.kind;
  return reason.error.status < 500 ? 'refused' : 'error';
}

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
