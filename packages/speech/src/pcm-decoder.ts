import { g711Table } from './g711.ts';
import { SAMPLE_RATE } from './pcm.ts';
import { Resampler } from './resample.ts';

/** Raw audio as clients send it; all little-endian. Floats are from -1 to 1. */
export const PCM_ENCODINGS = ['s16le', 's32le', 'f16le', 'f32le', 'mulaw', 'alaw'] as const;
export type PcmEncoding = (typeof PCM_ENCODINGS)[number];

export interface PcmFormat {
  readonly encoding: PcmEncoding;
  /** In Hz, from 1000 to 768000. */
  readonly rate: number;
  /** Mixed down to one; from 1. */
  readonly channels?: number;
}

const BYTES: Readonly<Record<PcmEncoding, number>> = {
  s16le: 2,
  s32le: 4,
  f16le: 2,
  f32le: 4,
  mulaw: 1,
  alaw: 1,
};

/** Turns one stream of raw audio into the fleet's: PCM16 LE, 16 kHz, mono. Its pieces may be cut anywhere. */
export class PcmDecoder {
  readonly #frameBytes: number;
  readonly #channels: number;
  readonly #encoding: PcmEncoding;
  readonly #resampler: Resampler | undefined;
  /** The beginning of a frame whose end is to come. */
  #rest: Buffer = Buffer.alloc(0);

  /** Throws RangeError for rates that are none. */
  constructor({ encoding, rate, channels = 1 }: PcmFormat) {
    this.#encoding = encoding;
    this.#channels = channels;
    this.#frameBytes = BYTES[encoding] * channels;
    if (rate !== SAMPLE_RATE) this.#resampler = new Resampler(rate, SAMPLE_RATE);
  }

  /** What can be told of it now; empty when it is too short. May be the buffer given. */
  push(bytes: Buffer): Buffer {
    const whole = this.#whole(bytes);
    if (whole.length === 0) return whole;
    if (this.#encoding === 's16le' && this.#channels === 1 && this.#resampler === undefined)
      return whole;
    const samples = this.#samples(whole);
    return bytesOf(this.#resampler ? this.#resampler.push(samples) : toInt16(samples));
  }

  /** The last of it, when no more comes. A frame that was not whole is let go. */
  flush(): Buffer {
    this.#rest = Buffer.alloc(0);
    return bytesOf(this.#resampler?.flush() ?? new Int16Array(0));
  }

  #whole(bytes: Buffer): Buffer {
    const joined = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const over = joined.length % this.#frameBytes;
    this.#rest = over === 0 ? EMPTY : Buffer.from(joined.subarray(joined.length - over));
    return over === 0 ? joined : joined.subarray(0, joined.length - over);
  }

  #samples(bytes: Buffer): Int16Array | Float32Array {
    const read = this.#decode(bytes);
    const channels = this.#channels;
    if (channels === 1) return read;
    const mixed = new Float32Array(read.length / channels);
    const scale = channels * (read instanceof Float32Array ? 1 : INT16_SCALE);
    for (let at = 0; at < read.length; at += 1)
      mixed[Math.floor(at / channels)] =
        (mixed[Math.floor(at / channels)] as number) + (read[at] as number) / scale;
    return mixed;
  }

  #decode(bytes: Buffer): Int16Array | Float32Array {
    const count = bytes.length / BYTES[this.#encoding];
    switch (this.#encoding) {
      case 's16le': {
        const samples = new Int16Array(count);
        for (let at = 0; at < count; at += 1) samples[at] = bytes.readInt16LE(2 * at);
        return samples;
      }
      case 's32le': {
        const samples = new Float32Array(count);
        for (let at = 0; at < count; at += 1) samples[at] = bytes.readInt32LE(4 * at) / INT32_SCALE;
        return samples;
      }
      case 'f16le': {
        const samples = new Float32Array(count);
        for (let at = 0; at < count; at += 1) samples[at] = half(bytes.readUInt16LE(2 * at));
        return samples;
      }
      case 'f32le': {
        const samples = new Float32Array(count);
        for (let at = 0; at < count; at += 1) samples[at] = bytes.readFloatLE(4 * at);
        return samples;
      }
      case 'mulaw':
      case 'alaw': {
        const table = g711Table(this.#encoding);
        const samples = new Int16Array(count);
        for (let at = 0; at < count; at += 1) samples[at] = table[bytes[at] as number] as number;
        return samples;
      }
    }
  }
}

const EMPTY = Buffer.alloc(0);
const INT16_SCALE = 32_768;
const INT32_SCALE = 2 ** 31;

function toInt16(samples: Int16Array | Float32Array): Int16Array {
  if (samples instanceof Int16Array) return samples;
  return Int16Array.from(samples, (sample) => {
    if (Number.isNaN(sample)) return 0;
    return Math.max(-INT16_SCALE, Math.min(INT16_SCALE - 1, Math.round(sample * INT16_SCALE)));
  });
}

/** IEEE 754 binary16. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7c00) >> 10;
  const fraction = bits & 0x03ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bytesOf(samples: Int16Array): Buffer {
  const bytes = Buffer.allocUnsafe(2 * samples.length);
  for (let at = 0; at < samples.length; at += 1) bytes.writeInt16LE(samples[at] as number, 2 * at);
  return bytes;
}
