import { SAMPLE_RATE } from './pcm.ts';
import { Resampler } from './resample.ts';
import { openWav, WavError, type WavFormat } from './wav.ts';

const MIN_RATE = 4_000;
const MAX_RATE = 192_000;
const MAX_CHANNELS = 8;
/** Converted at a time. */
const BLOCK_MS = 500;

export interface RecordingLimits {
  /** A longer one is refused before anything of it is converted; whoever leaves it out has bounded the bytes. */
  readonly maxDurationMs?: number;
}

/** The recording is longer than it may be. */
export class RecordingTooLong extends WavError {
  override readonly name = 'RecordingTooLong';
}

/**
 * A WAV file as the fleet's audio: mono, 16 kHz. Takes PCM of 8, 16, 24 and 32 bits and floats of 32 and 64, 1 to 8 channels (mixed in
 * equal parts), 4 to 192 kHz. Throws WavError, RecordingTooLong among them, whose message says what is wrong.
 */
export function readRecording(wav: Buffer, limits: RecordingLimits = {}): Int16Array {
  const blocks = [...recordingBlocks(wav, limits)];
  const whole = new Int16Array(blocks.reduce((length, block) => length + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    whole.set(block, at);
    at += block.length;
  }
  return whole;
}

/**
 * The same in blocks of half a second or so, so that a server may do something else between them. The file is looked at first: what
 * is wrong with it is thrown before the first block.
 */
export function* recordingBlocks(wav: Buffer, limits: RecordingLimits = {}): Generator<Int16Array> {
  const { format, data } = openWav(wav, checkFormat);
  const { sampleRate, channels } = format;
  const read = READERS[nameOf(format)] as SampleReader;
  const frameBytes = (format.bits / 8) * channels;
  const frames = Math.floor(data.length / frameBytes);
  const durationMs = (frames * 1_000) / sampleRate;
  const maxMs = limits.maxDurationMs ?? Number.POSITIVE_INFINITY;
  if (durationMs > maxMs)
    throw new RecordingTooLong(
      `The recording is ${(durationMs / 1_000).toFixed(1)} s long, ${maxMs / 1_000} s are allowed. Send a shorter one.`,
    );
  const resampler = new Resampler(sampleRate, SAMPLE_RATE);
  const blockFrames = Math.ceil((sampleRate * BLOCK_MS) / 1_000);
  for (let from = 0; from < frames; from += blockFrames) {
    const mono = new Float32Array(Math.min(blockFrames, frames - from));
    for (let frame = 0; frame < mono.length; frame += 1) {
      const byte = (from + frame) * frameBytes;
      let sum = 0;
      for (let channel = 0; channel < channels; channel += 1)
        sum += read(data, byte + (channel * format.bits) / 8);
      mono[frame] = sum / channels;
    }
    yield resampler.push(mono);
  }
  yield resampler.flush();
}

/** One sample, from -1 to 1. */
type SampleReader = (data: Buffer, byte: number) => number;

const READERS: Readonly<Record<string, SampleReader>> = {
  pcm8: (data, byte) => ((data[byte] ?? 128) - 128) / 2 ** 7,
  pcm16: (data, byte) => data.readInt16LE(byte) / 2 ** 15,
  pcm24: (data, byte) => data.readIntLE(byte, 3) / 2 ** 23,
  pcm32: (data, byte) => data.readInt32LE(byte) / 2 ** 31,
  float32: (data, byte) => data.readFloatLE(byte),
  float64: (data, byte) => data.readDoubleLE(byte),
};

function nameOf({ kind, bits }: WavFormat): string {
  return `${kind}${bits}`;
}

function checkFormat(format: WavFormat): void {
  const { sampleRate, channels } = format;
  if (!Object.hasOwn(READERS, nameOf(format)))
    throw new WavError(
      `WAV has ${format.kind} samples of ${format.bits} bits, which are not supported. Export it as PCM of 16 bits.`,
    );
  if (channels > MAX_CHANNELS)
    throw new WavError(`WAV has ${channels} channels, more than ${MAX_CHANNELS}. Mix it to mono.`);
  if (sampleRate < MIN_RATE || sampleRate > MAX_RATE)
    throw new WavError(
      `WAV has a rate of ${sampleRate} Hz, outside ${MIN_RATE} to ${MAX_RATE}. Resample it to ${SAMPLE_RATE} Hz.`,
    );
}
