import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RecordingTooLong, readRecording, recordingBlocks } from './recording.ts';
import { resample } from './resample.ts';
import { WavError, writeWav } from './wav.ts';

const SAMPLES = Int16Array.from({ length: 4_800 }, (_, at) => Math.round(9_000 * Math.sin(at / 9)));

type Kind = 'pcm8' | 'pcm16' | 'pcm24' | 'pcm32' | 'float32' | 'float64';

/** A file of these samples, each in all channels, in a given encoding. */
function wav(
  kind: Kind,
  options: { rate?: number; channels?: number; samples?: Int16Array } = {},
): Buffer {
  const { rate = 16_000, channels = 1, samples = SAMPLES } = options;
  const bytes = Number(/\d+/.exec(kind)?.[0]) / 8;
  const data = Buffer.alloc(samples.length * channels * bytes);
  let at = 0;
  for (const sample of samples) {
    for (let channel = 0; channel < channels; channel += 1, at += bytes) {
      if (kind === 'pcm8') data.writeUInt8((sample >> 8) + 128, at);
      else if (kind === 'float32') data.writeFloatLE(sample / 32_768, at);
      else if (kind === 'float64') data.writeDoubleLE(sample / 32_768, at);
      else data.writeIntLE(sample * 2 ** (8 * bytes - 16), at, bytes);
    }
  }
  // 44 bytes of header, patched to what this file holds.
  const file = Buffer.concat([writeWav(Buffer.alloc(0), rate), data]);
  file.writeUInt16LE(kind.startsWith('float') ? 3 : 1, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt16LE(8 * bytes, 34);
  file.writeUInt32LE(data.length, 40);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}

describe('readRecording', () => {
  it.each(['pcm16', 'pcm24', 'pcm32', 'float32', 'float64'] as const)(
    'C16: %s holds the same sound',
    (kind) => {
      expect(readRecording(wav(kind))).toEqual(SAMPLES);
      expect(readRecording(wav(kind, { channels: 2 }))).toEqual(SAMPLES);
    },
  );

  it('reads 8 bits, which have no sign', () => {
    expect(readRecording(wav('pcm8'))).toEqual(SAMPLES.map((sample) => (sample >> 8) << 8));
  });

  it('mixes channels in equal parts', () => {
    const file = wav('pcm16', { channels: 2, samples: Int16Array.of(0, 0) });
    [1_000, 3_000, -7, -9].forEach((sample, at) => {
      file.writeInt16LE(sample, 44 + 2 * at);
    });
    expect(readRecording(file)).toEqual(Int16Array.of(2_000, -8));
  });

  it('makes 16 kHz of any rate, in blocks as in whole', () => {
    for (const rate of [8_000, 44_100, 48_000]) {
      const samples = new Int16Array(rate * 1.3).map((_, at) => 8_000 * Math.sin(at / 30));
      const file = wav('pcm16', { rate, samples });
      expect(readRecording(file)).toEqual(resample(samples, rate, 16_000));
      expect([...recordingBlocks(file)].length).toBeGreaterThan(3);
    }
  });

  it('takes a file without a sample for no sound', () => {
    expect(readRecording(wav('float32', { samples: new Int16Array(0) }))).toHaveLength(0);
  });

  it('refuses what is longer than allowed before it converts anything', () => {
    const file = wav('pcm16', { samples: new Int16Array(16_001) });
    expect(() => recordingBlocks(file, { maxDurationMs: 1_000 }).next()).toThrow(RecordingTooLong);
    expect(readRecording(file, { maxDurationMs: 1_001 })).toHaveLength(16_001);
  });

  it.each([
    ['compressed audio', 20, 0x55, /0x0055/],
    ['an odd width', 34, 12, /pcm samples of 12 bits/],
    ['nine channels', 22, 9, /9 channels, more than 8/],
    ['a rate too low', 24, 3_999, /3999 Hz/],
  ])('says what is wrong with %s', (_, at, value, message) => {
    const file = wav('pcm16');
    file.writeUInt16LE(value, at);
    expect(() => readRecording(file)).toThrow(WavError);
    expect(() => readRecording(file)).toThrow(message);
  });

  it('refuses a rate too high, and whatever is no WAV', () => {
    const file = wav('pcm16');
    file.writeUInt32LE(192_001, 24);
    expect(() => readRecording(file)).toThrow(/192001 Hz/);
    expect(() => readRecording(Buffer.from('OggS and so on, no RIFF'))).toThrow(WavError);
  });

  it('answers any damage with sound or a WavError', () => {
    const whole = wav('float32', { channels: 2, samples: Int16Array.of(1, -2, 3) });
    const damage = fc.record({
      length: fc.nat(whole.length),
      bytes: fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
    });
    fc.assert(
      fc.property(damage, ({ length, bytes }) => {
        const file = Buffer.from(whole.subarray(0, length));
        for (const [at, value] of bytes) if (at < length) file[at] = value;
        try {
          expect(readRecording(file).length).toBeLessThan(100);
        } catch (error) {
          expect(error).toBeInstanceOf(WavError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
