import { VoiceError } from '@voice-fleet/protocol/errors';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { Resampler } from '@voice-fleet/speech/resample';
import { alaw, mulaw } from 'alawmulaw';
import { decodeBase64 } from '../pcm-base64.ts';

/** How a client sends its audio. */
export type InputFormat =
  | { readonly type: 'audio/pcm'; readonly rate: number }
  | { readonly type: 'audio/pcmu' | 'audio/pcma' };

const TELEPHONE_RATE = 8_000;
const NOTHING = Buffer.alloc(0);

/** A client's audio as PCM16 at 16 kHz. Frames may end within a sample. */
export class InputAudio {
  readonly #format: InputFormat;
  #resampler: Resampler;
  /** The first byte of a sample whose second is still to come. */
  #odd = NOTHING;

  constructor(format: InputFormat) {
    this.#format = format;
    this.#resampler = this.#newResampler();
  }

  /** What is certain of the audio now, maybe nothing. Throws VoiceError for what is no base64. */
  push(base64: unknown): Buffer {
    if (base64 === '') return NOTHING;
    const bytes = decodeBase64(base64);
    switch (this.#format.type) {
      case 'audio/pcm':
        return this.#pcm(bytes, this.#format.rate);
      case 'audio/pcmu':
        return bufferOf(this.#resampler.push(mulaw.decode(bytes)));
      case 'audio/pcma':
        return bufferOf(this.#resampler.push(alaw.decode(bytes)));
    }
  }

  /** What was held back, as if silence followed; what comes next begins anew. */
  flush(): Buffer {
    const rest = this.#resampler.flush();
    this.clear();
    return bufferOf(rest);
  }

  clear(): void {
    this.#odd = NOTHING;
    this.#resampler = this.#newResampler();
  }

  #newResampler(): Resampler {
    const { type } = this.#format;
    return new Resampler(type === 'audio/pcm' ? this.#format.rate : TELEPHONE_RATE, SAMPLE_RATE);
  }

  #pcm(bytes: Buffer, rate: number): Buffer {
    const all = this.#odd.length === 0 ? bytes : Buffer.concat([this.#odd, bytes]);
    const whole = all.length - (all.length % BYTES_PER_SAMPLE);
    // Copied: it would keep the whole frame.
    this.#odd = whole === all.length ? NOTHING : Buffer.from(all.subarray(whole));
    const pcm = all.subarray(0, whole);
    if (rate === SAMPLE_RATE) return pcm;
    return bufferOf(this.#resampler.push(samplesOf(pcm)));
  }
}

function samplesOf(pcm: Buffer): Int16Array {
  const samples = new Int16Array(pcm.length / BYTES_PER_SAMPLE);
  for (let at = 0; at < samples.length; at += 1)
    samples[at] = pcm.readInt16LE(at * BYTES_PER_SAMPLE);
  return samples;
}

function bufferOf(samples: Int16Array): Buffer {
  const pcm = Buffer.allocUnsafe(samples.length * BYTES_PER_SAMPLE);
  for (let at = 0; at < samples.length; at += 1)
    pcm.writeInt16LE(samples[at] as number, at * BYTES_PER_SAMPLE);
  return pcm;
}

/** The format of a session's configuration. Throws VoiceError `unsupported_sample_rate`. */
export function inputFormat(
  type: 'audio/pcm' | 'audio/pcmu' | 'audio/pcma',
  rate: number,
  rates: readonly number[],
): InputFormat {
  if (type !== 'audio/pcm') return { type };
  if (!rates.includes(rate))
    throw new VoiceError('unsupported_sample_rate', {
      message: `PCM is taken at ${rates.join(', ')} Hz.`,
    });
  return { type, rate };
}
