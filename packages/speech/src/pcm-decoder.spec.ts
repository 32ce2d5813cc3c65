import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PCM_ENCODINGS, PcmDecoder, type PcmEncoding } from './pcm-decoder.ts';

/** A tone of 440 Hz at half of full scale, as floats. */
function tone(seconds: number, rate: number): number[] {
  return Array.from(
    { length: seconds * rate },
    (_, at) => 0.5 * Math.sin((at / rate) * 2 * Math.PI * 440),
  );
}

/** By the tables of ITU-T G.711: the byte whose value is nearest, found with the decoder itself. */
function encoded(encoding: PcmEncoding, samples: readonly number[]): Buffer {
  switch (encoding) {
    case 's16le': {
      const bytes = Buffer.alloc(2 * samples.length);
      for (const [at, sample] of samples.entries())
        bytes.writeInt16LE(Math.round(sample * 32_767), 2 * at);
      return bytes;
    }
    case 's32le': {
      const bytes = Buffer.alloc(4 * samples.length);
      for (const [at, sample] of samples.entries())
        bytes.writeInt32LE(Math.round(sample * (2 ** 31 - 1)), 4 * at);
      return bytes;
    }
    case 'f32le': {
      const bytes = Buffer.alloc(4 * samples.length);
      for (const [at, sample] of samples.entries()) bytes.writeFloatLE(sample, 4 * at);
      return bytes;
    }
    case 'f16le': {
      const bytes = Buffer.alloc(2 * samples.length);
      for (const [at, sample] of samples.entries()) bytes.writeUInt16LE(toHalf(sample), 2 * at);
      return bytes;
    }
    case 'mulaw':
    case 'alaw': {
      const values = valuesOf(encoding);
      return Buffer.from(
        samples.map((sample) => {
          let best = 0;
          for (const [byte, value] of values.entries())
            if (Math.abs(value - sample * 32_768) < Math.abs((values[best] ?? 0) - sample * 32_768))
              best = byte;
          return best;
        }),
      );
    }
  }
}

function toHalf(value: number): number {
  if (value === 0) return 0;
  const sign = value < 0 ? 0x8000 : 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  if (exponent < -14) return sign | Math.round(Math.abs(value) * 2 ** 24);
  const fraction = Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + fraction);
}

function valuesOf(encoding: 'mulaw' | 'alaw'): number[] {
  const pcm = new PcmDecoder({ encoding, rate: 16_000 }).push(
    Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  );
  return samplesOf(pcm);
}

function samplesOf(pcm: Buffer): number[] {
  return Array.from({ length: pcm.length / 2 }, (_, at) => pcm.readInt16LE(2 * at));
}

describe('PcmDecoder', () => {
  it('gives back what is in the right form already', () => {
    const pcm = Buffer.from([1, 2, 3, 4]);
    expect(new PcmDecoder({ encoding: 's16le', rate: 16_000 }).push(pcm)).toBe(pcm);
  });

  it.each(PCM_ENCODINGS)('reads a tone as %s', (encoding) => {
    const wanted = tone(0.1, 16_000);
    const decoder = new PcmDecoder({ encoding, rate: 16_000 });
    const heard = samplesOf(decoder.push(encoded(encoding, wanted)));
    expect(heard).toHaveLength(wanted.length);
    // G.711 has 5 bits of precision at this level.
    const slack = encoding === 'mulaw' || encoding === 'alaw' ? 520 : 18;
    for (const [at, sample] of heard.entries())
      expect(Math.abs(sample - (wanted[at] ?? 0) * 32_768)).toBeLessThan(slack);
  });

  it.each([
    ['mulaw', 0xff, 0],
    ['mulaw', 0x7f, 0],
    ['mulaw', 0x80, 32_124],
    ['mulaw', 0x00, -32_124],
    ['mulaw', 0xf0, 120],
    ['alaw', 0xd5, 8],
    ['alaw', 0x55, -8],
    ['alaw', 0xaa, 32_256],
    ['alaw', 0x2a, -32_256],
  ] as const)('knows of %s that %d is %d', (encoding, byte, sample) => {
    expect(valuesOf(encoding)[byte]).toBe(sample);
  });

  it.each([8_000, 24_000, 44_100, 48_000])('brings %d Hz to 16 kHz', (rate) => {
    const decoder = new PcmDecoder({ encoding: 's16le', rate });
    const heard = [
      ...samplesOf(decoder.push(encoded('s16le', tone(1, rate)))),
      ...samplesOf(decoder.flush()),
    ];
    expect(Math.abs(heard.length - 16_000)).toBeLessThan(3);
    const wanted = tone(1, 16_000);
    for (let at = 1_000; at < 15_000; at += 1)
      expect(Math.abs((heard[at] ?? 0) - (wanted[at] ?? 0) * 32_768)).toBeLessThan(30);
  });

  it('mixes channels down', () => {
    const bytes = Buffer.alloc(8);
    for (const [at, sample] of [1_000, 3_000, -500, -1_500].entries())
      bytes.writeInt16LE(sample, 2 * at);
    const decoder = new PcmDecoder({ encoding: 's16le', rate: 16_000, channels: 2 });
    expect(samplesOf(decoder.push(bytes))).toEqual([2_000, -1_000]);
  });

  it('does not care where its pieces are cut', () => {
    const format = fc.record({
      encoding: fc.constantFrom(...PCM_ENCODINGS),
      rate: fc.constantFrom(8_000, 16_000, 24_000),
      channels: fc.constantFrom(1, 2),
    });
    fc.assert(
      fc.property(
        format,
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.nat(400)),
        (of, bytes, cuts) => {
          const whole = new PcmDecoder(of);
          const expected = Buffer.concat([whole.push(Buffer.from(bytes)), whole.flush()]);
          const decoder = new PcmDecoder(of);
          const edges = [
            0,
            ...cuts.filter((cut) => cut <= bytes.length).sort((a, b) => a - b),
            bytes.length,
          ];
          const pieces = edges
            .slice(1)
            .map((edge, index) => decoder.push(Buffer.from(bytes.subarray(edges[index], edge))));
          expect(Buffer.concat([...pieces, decoder.flush()])).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('refuses a rate that is none', () => {
    expect(() => new PcmDecoder({ encoding: 's16le', rate: 0 })).toThrow(RangeError);
  });
});
