import type { VoiceErrorCode, VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';

export type VoiceErrorFrame = Extract<VoiceServerFrame, { type: 'error' }>;

/** The server ended the session with an error frame (`recoverable: false`). */
export class VoiceServerError extends Error {
  override readonly name = 'VoiceServerError';
  readonly code: VoiceErrorCode;

  constructor(frame: VoiceErrorFrame) {
    super(frame.message);
    this.code = frame.code;
  }
}

/** The server sent something that is not the voice pipeline's protocol. */
export class VoiceProtocolError extends Error {
  override readonly name = 'VoiceProtocolError';
}
