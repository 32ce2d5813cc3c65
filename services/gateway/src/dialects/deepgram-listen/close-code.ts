import type { CloseReason } from '@voice-fleet/protocol/session';
import { type StreamClose, streamClose } from '../stream-close.ts';

/** Why a stream is closed, in Deepgram's words where it has some. */
export function closeCode(reason: CloseReason): StreamClose {
  return streamClose(reason, {
    idle: { code: 1011, reason: 'NET-0001: no audio and no KeepAlive came in time' },
    'max-duration': { code: 1011, reason: 'NET-0002: the stream is as long as it may be' },
  });
}
