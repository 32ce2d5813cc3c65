import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readWav, WavError, writeWav } from './wav.ts';

const PCM = Buffer.from([1, 0, 2, 0, 3, 0, 4, 0]);

function chunk(id: string, body: Buffer, size = body.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 0, 'latin1');
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
}

function riff(...chunks: Buffer[]): Buffer {
  return chunk('RIFF', Buffer.concat([Buffer.from('WAVE'), ...chunks]));
}

function format(options: { tag?: number; channels?: number; rate?: number; bits?: number } = {}) {
  const { tag = 1, channels = 1, rate = 16_000, bits = 16 } = options;
  const body = Buffer.alloc(16);
  body.writeUInt16LE(tag, 0);
  body.writeUInt16LE(channels, 2);
  body.writeUInt32LE(rate, 4);
  body.writeUInt16LE(bits, 14);
  return chunk('fmt ', body);
}

function extensible(guid: string): Buffer {
  const extra = Buffer.concat([Buffer.alloc(8), Buffer.from(guid, 'hex')]);
  return chunk('fmt ', Buffer.concat([format({ tag: 0xfffe }).subarray(8), extra]));
}

describe('readWav', () => {
  it('reads back what writeWav wrote', () => {
    expect(readWav(writeWav(PCM, 8_000))).toEqual({ sampleRate: 8_000, channels: 1, pcm: PCM });
  });

  it('skips chunks before the data, with their padding', () => {
    const wav = riff(
      chunk('LIST', Buffer.from('odd')),
      format({ channels: 2, rate: 48_000 }),
      chunk('fact', Buffer.alloc(4)),
      chunk('data', PCM),
    );
    expect(readWav(wav)).toEqual({ sampleRate: 48_000, channels: 2, pcm: PCM });
  });

  it('leaves out chunks after the data', () => {
    expect(readWav(riff(format(), chunk('data', PCM), chunk('LIST', PCM))).pcm).toEqual(PCM);
  });

  it.each([
    ['zero', 0],
    ['the largest number', 0xffff_ffff],
    ['more than the file has', 1_000_000],
  ])('reads to the end of a streamed file whose data size is %s', (_, size) => {
    const wav = riff(format(), chunk('data', PCM, size));
    wav.writeUInt32LE(size === 0 ? 0 : 0xffff_ffff, 4);
    expect(readWav(wav).pcm).toEqual(PCM);
  });

  it('believes a data size of zero when the outer size fits the file', () => {
    const wav = riff(format(), chunk('data', Buffer.alloc(0)), chunk('LIST', PCM));
    expect(readWav(wav).pcm).toHaveLength(0);
  });

  it('drops the part of a frame at which a file was cut', () => {
    const wav = riff(format({ channels: 2 }), chunk('data', PCM));
    expect(readWav(wav.subarray(0, wav.length - 1)).pcm).toEqual(PCM.subarray(0, 4));
  });

  it('reads the extensible header when it says PCM', () => {
    const wav = riff(extensible('0100000000001000800000aa00389b71'), chunk('data', PCM));
    expect(readWav(wav).pcm).toEqual(PCM);
  });

  it.each([
    ['an empty file', Buffer.alloc(0), /0 bytes are too few/],
    ['another format', Buffer.from('ID3 something else'), /does not start with RIFF/],
    ['big endian files', Buffer.from('RIFX0000WAVE'), /RIFX/],
    ['compressed audio', riff(format({ tag: 0x55 }), chunk('data', PCM)), /0x0055.*ffmpeg/],
    ['extensible float', riff(extensible('0300000000001000800000aa00389b71')), /no plain PCM/],
    ['24 bits', riff(format({ bits: 24 }), chunk('data', PCM)), /24 bits.*ffmpeg/],
    ['no channels', riff(format({ channels: 0 })), /0 channels/],
    ['a short format', riff(chunk('fmt ', PCM)), /8 of at least 16 bytes/],
    ['data before the format', riff(chunk('data', PCM), format()), /before its format/],
    ['a missing format', riff(), /without a fmt chunk/],
    ['missing data', riff(format()), /without a data chunk/],
  ])('says what is wrong with %s', (_, wav, message) => {
    expect(() => readWav(wav)).toThrow(WavError);
    expect(() => readWav(wav)).toThrow(message);
  });

  it('answers any damage with audio inside the file or a WavError', () => {
    const whole = riff(format(), chunk('LIST', Buffer.from('odd')), chunk('data', PCM));
    const damaged = fc
      .record({
        length: fc.nat(whole.length),
        bytes: fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
      })
      .map(({ length, bytes }) => {
        const wav = Buffer.from(whole);
        for (const [at, value] of bytes) wav[at] = value;
        return wav.subarray(0, length);
      });
    const noise = fc
      .uint8Array({ maxLength: 200 })
      .map((bytes) => Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE'), bytes]));
    fc.assert(
      fc.property(fc.oneof(damaged, noise), (wav) => {
        try {
          const { pcm, channels } = readWav(wav);
          expect(pcm.length % (2 * channels)).toBe(0);
          expect(pcm.length).toBeLessThanOrEqual(wav.length);
        } catch (error) {
          expect(error).toBeInstanceOf(WavError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('writeWav', () => {
  it('drops a trailing half sample', () => {
    expect(readWav(writeWav(PCM.subarray(0, 5), 16_000)).pcm).toEqual(PCM.subarray(0, 4));
  });
});
