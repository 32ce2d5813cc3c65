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
