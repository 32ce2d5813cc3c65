import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeAac } from './aac.ts';
import type { SpeechEncoder, SpeechFormat } from './encoder.ts';
import { createFlac } from './flac.ts';
import { createMp3 } from './mp3.ts';
import { OpusEncoder } from './opus.ts';
import { PcmEncoder, WavEncoder } from './plain.ts';

/** Of all speech that is sent. */
export const SPEECH_RATE = 24_000;

export interface EncodeOptions {
  readonly format: SpeechFormat;
  /** Program for AAC. */
  readonly ffmpeg: string;
}

/** Samples encoded at a time: between two, others get their turn. */
const PIECE = SPEECH_RATE / 5;

/**
 * Encodes mono speech at 24 kHz as it comes: what can be sent is given before the next is asked for. Throws the signal's reason,
 * what `pcm` throws, and VoiceError unsupported_format for AAC where ffmpeg is missing.
 */
export async function* encodeSpeech(
  pcm: AsyncIterable<Int16Array>,
  { format, ffmpeg }: EncodeOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (format === 'aac') return yield* encodeAac(pcm, { sampleRate: SPEECH_RATE, ffmpeg }, signal);
  const encoder = await create(format);
  try {
    for await (const samples of pcm) {
      for (let at = 0; at < samples.length; at += PIECE) {
        signal.throwIfAborted();
        const bytes = encoder.push(samples.subarray(at, at + PIECE));
        if (bytes.length > 0) yield bytes;
        await nextTurn();
      }
    }
    const rest = encoder.end();
    if (rest.length > 0) yield rest;
  } finally {
    encoder.close();
  }
}

async function create(format: Exclude<SpeechFormat, 'aac'>): Promise<SpeechEncoder> {
  switch (format) {
    case 'mp3':
      return createMp3(SPEECH_RATE);
    case 'opus':
      return new OpusEncoder(SPEECH_RATE);
    case 'flac':
      return createFlac(SPEECH_RATE);
    case 'wav':
      return new WavEncoder(SPEECH_RATE);
    case 'pcm':
      return new PcmEncoder();
  }
}
