/** ITU-T G.711: one byte a sample, as telephones send it. */

const MULAW = table(decodeMulaw);
const ALAW = table(decodeAlaw);

export type G711 = 'mulaw' | 'alaw';

/** PCM16 samples by encoded byte. */
export function g711Table(law: G711): Int16Array {
  return law === 'mulaw' ? MULAW : ALAW;
}

function table(decode: (byte: number) => number): Int16Array {
  return Int16Array.from({ length: 256 }, (_, byte) => decode(byte));
}

/** Inverted bits: sign, exponent of 3, mantissa of 4; biased by 132. */
function decodeMulaw(byte: number): number {
  const bits = ~byte & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + 132) << ((bits & 0x70) >> 4)) - 132;
  return (bits & 0x80) === 0 ? magnitude : -magnitude;
}

/** Every other bit inverted; exponent 0 is linear. */
function decodeAlaw(byte: number): number {
  const bits = byte ^ 0x55;
  const exponent = (bits & 0x70) >> 4;
  const mantissa = ((bits & 0x0f) << 4) + 8;
  const magnitude = exponent === 0 ? mantissa : (mantissa + 256) << (exponent - 1);
  return (bits & 0x80) === 0 ? -magnitude : magnitude;
}

/** Samples as bytes, each that whose value is nearest. */
export function encodeG711(law: G711, samples: Int16Array): Buffer {
  const encode = law === 'mulaw' ? encodeMulaw : encodeAlaw;
  const bytes = Buffer.allocUnsafe(samples.length);
  for (let at = 0; at < samples.length; at += 1) bytes[at] = encode(samples[at] as number);
  return bytes;
}

/** Above this magnitudes are cut off. */
const MULAW_MAX = 32_635;
const ALAW_MAX = 32_767;

function encodeMulaw(sample: number): number {
  const biased = Math.min(MULAW_MAX, Math.abs(sample)) + 132;
  const exponent = 31 - Math.clz32(biased) - 7;
  const mantissa = (biased >> (exponent + 3)) & 0x0f;
  return ~((sample < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
}

function encodeAlaw(sample: number): number {
  const magnitude = Math.min(ALAW_MAX, sample < 0 ? -sample - 1 : sample);
  const exponent = Math.max(0, 31 - Math.clz32(magnitude) - 7);
  const mantissa = (magnitude >> (exponent === 0 ? 4 : exponent + 3)) & 0x0f;
  return ((sample < 0 ? 0 : 0x80) | (exponent << 4) | mantissa) ^ 0x55;
}
