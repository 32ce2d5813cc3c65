import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';

const EQUALS = 61;
const STRANGERS = /[^A-Za-z0-9+/=]/g;

/**
 * PCM16 out of base64 as Python's `b64decode` reads it: what is no letter of base64 is skipped, and what follows complete
 * padding is not read. `undefined` where that fails, for characters beyond ASCII, an odd number of bytes, or none.
 */
export function decodePcm(text: string): Buffer | undefined {
  const pcm = decodeStrict(text) ?? decodeLeniently(text);
  if (pcm === undefined || pcm.length === 0 || pcm.length % BYTES_PER_SAMPLE !== 0)
    return undefined;
  return pcm;
}

/** Flawless padded base64 only, quickly: Node skips what it does not know, so the length tells whether there was such. */
export function decodeStrict(text: string): Buffer | undefined {
  let letters = text.length;
  if (letters % 4 !== 0 || letters === 0) return undefined;
  for (let pads = 0; pads < 2 && text.charCodeAt(letters - 1) === EQUALS; pads += 1) letters -= 1;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== Math.floor((letters * 3) / 4)) return undefined;
  // Letters of base64url, which Node's decoder takes and Python's skips.
  return text.includes('-') || text.includes('_') || Buffer.byteLength(text) !== text.length
    ? undefined
    : bytes;
}

function decodeLeniently(text: string): Buffer | undefined {
  if (Buffer.byteLength(text) !== text.length) return undefined;
  let letters = '';
  let pads = 0;
  const runs = text.replace(STRANGERS, '').split('=');
  for (const [index, run] of runs.entries()) {
    letters += run;
    if (run !== '') pads = 0;
    const place = letters.length % 4;
    const isPadded = index < runs.length - 1 && place >= 2;
    if (isPadded) pads += 1;
    if (isPadded && place + pads >= 4) return Buffer.from(letters, 'base64');
  }
  return letters.length % 4 === 0 ? Buffer.from(letters, 'base64') : undefined;
}
