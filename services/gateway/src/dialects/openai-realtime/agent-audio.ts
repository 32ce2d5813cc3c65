import { encodeG711 } from '@voice-fleet/speech/g711';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { Resampler } from '@voice-fleet/speech/resample';
import { readWav, type WavAudio, WavError } from '@voice-fleet/speech/wav';

/** How a client hears replies. */
export type ReplyFormat =
  | { readonly type: 'audio/pcm'; readonly rate: number }
  | { readonly type: 'audio/pcmu' | 'audio/pcma' };

const TELEPHONE_RATE = 8_000;
/** A phrase is told in pieces of half a second, which no client takes long to read. */
const PIECE_S = 0.5;

/** The speech of one reply, at one rate whatever its phrases have. */
export class ReplyAudio {
  readonly #format: ReplyFormat;
  readonly #rate: number;
  #fromRate = 0;
  #resampler: Resampler | undefined;

  constructor(format: ReplyFormat) {
    this.#format = format;
    this.#rate = format.type === 'audio/pcm' ? format.rate : TELEPHONE_RATE;
  }

  /** Takes a WAV file in base64; returns what can be heard of it now, in base64. Of one that cannot be read nothing is heard. */
  push(audio: string): string[] {
    const wav = readable(audio);
    if (wav === undefined) return [];
    const { pcm, sampleRate } = wav;
    const before = sampleRate === this.#fromRate ? [] : this.flush();
    if (this.#resampler === undefined) {
      this.#fromRate = sampleRate;
      this.#resampler = new Resampler(sampleRate, this.#rate);
    }
    return [...before, ...this.#pieces(this.#resampler.push(samplesOf(pcm)))];
  }

  /** What was held back of the last phrase. */
  flush(): string[] {
    const rest = this.#resampler?.flush();
    this.#resampler = undefined;
    return rest ? this.#pieces(rest) : [];
  }

  #pieces(samples: Int16Array): string[] {
    const size = this.#rate * PIECE_S;
    const pieces: string[] = [];
    for (let at = 0; at < samples.length; at += size)
      pieces.push(this.#encode(samples.subarray(at, at + size)).toString('base64'));
    return pieces;
  }

  #encode(samples: Int16Array): Buffer {
    switch (this.#format.type) {
      case 'audio/pcm': {
        const pcm = Buffer.allocUnsafe(samples.length * BYTES_PER_SAMPLE);
        for (const [index, sample] of samples.entries())
          pcm.writeInt16LE(sample, index * BYTES_PER_SAMPLE);
        return pcm;
      }
      case 'audio/pcmu':
        return encodeG711('mulaw', samples);
      case 'audio/pcma':
        return encodeG711('alaw', samples);
    }
  }
}

function readable(audio: string): WavAudio | undefined {
  try {
    return readWav(Buffer.from(audio, 'base64'));
  } catch (error) {
    if (error instanceof WavError) return undefined;
    throw error;
  }
}

function samplesOf(pcm: Buffer): Int16Array {
  const samples = new Int16Array(pcm.length / BYTES_PER_SAMPLE);
  for (let at = 0; at < samples.length; at += 1)
    samples[at] = pcm.readInt16LE(at * BYTES_PER_SAMPLE);
  return samples;
}
