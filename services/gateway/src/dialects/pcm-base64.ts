import { VoiceError } from '@voice-fleet/protocol/errors';

const EQUALS = 61;

/**
 * The bytes of a base64 string, padded or not. Node's decoder skips what it does not know, so the length tells whether
 * everything was base64; of characters beyond ASCII it may take the low byte, so there must be none. Throws VoiceError.
 */
export function decodeBase64(value: unknown): Buffer {
  if (typeof value !== 'string' || value.trim() === '') throw new VoiceError('missing_audio');
  let chars = value.length;
  while (chars > 0 && value.length - chars < 2 && value.charCodeAt(chars - 1) === EQUALS)
    chars -= 1;
  const bytes = Buffer.from(value, 'base64');
  const ascii = Buffer.byteLength(value) === value.length;
  const whole = bytes.length === Math.floor((chars * 3) / 4) && chars % 4 !== 1;
  if (!ascii || bytes.length === 0 || !whole) {
    throw new VoiceError('invalid_audio', { message: 'payload.audio is not valid base64.' });
  }
  return bytes;
}

/** PCM16 out of a base64 string. Throws VoiceError. */
export function decodePcm(value: unknown): Buffer {
  const pcm = decodeBase64(value);
  if (pcm.length % 2 !== 0) {
    throw new VoiceError('invalid_audio', {
      message: 'Audio has an odd number of bytes; PCM16 samples are two bytes each.',
    });
  }
  return pcm;
}
