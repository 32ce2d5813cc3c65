import { VoiceError } from '@voice-fleet/protocol/errors';

/** Below this no message takes long to parse. */
const SMALL_BYTES = 16 * 1024;
const MAX_MARKS = 256;
const MARKS = [0x2c, 0x7b, 0x5b];

/** The JSON of a text frame. Throws VoiceError `invalid_message`. */
export function parseFlat(data: Buffer): unknown {
  assertFlat(data);
  try {
    return JSON.parse(data.toString());
  } catch {
    throw new VoiceError('invalid_message', { message: 'The message is not valid JSON.' });
  }
}

/**
 * Refuses a large message of many values before it is parsed: 1 MiB of keys takes 200 times as long as 1 MiB of audio, and
 * the other sessions of the process would wait for it. Base64 holds none of the characters counted.
 */
function assertFlat(data: Buffer): void {
  if (data.length <= SMALL_BYTES) return;
  let marks = 0;
  for (const mark of MARKS) {
    for (let at = data.indexOf(mark); at >= 0; at = data.indexOf(mark, at + 1)) {
      marks += 1;
      if (marks > MAX_MARKS) {
        throw new VoiceError('invalid_message', {
          message: 'The message has too many values for its size.',
        });
      }
    }
  }
}
