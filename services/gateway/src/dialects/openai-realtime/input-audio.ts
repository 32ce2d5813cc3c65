import { VoiceError } from '@voice-fleet/protocol/errors';
import { PcmDecoder, type PcmFormat } from '@voice-fleet/speech/pcm-decoder';
import { decodeBase64 } from '../pcm-base64.ts';

/** How a client sends its audio. */
export type InputFormat =
  | { readonly type: 'audio/pcm'; readonly rate: number }
  | { readonly type: 'audio/pcmu' | 'audio/pcma' };

const TELEPHONE_RATE = 8_000;
const NOTHING = Buffer.alloc(0);

/** A client's audio as PCM16 at 16 kHz. Frames may end within a sample. */
export class InputAudio {
  readonly #format: PcmFormat;
  #decoder: PcmDecoder;

  constructor(format: InputFormat) {
    this.#format = pcmFormat(format);
    this.#decoder = new PcmDecoder(this.#format);
  }

  /** What is certain of the audio now, maybe nothing. Throws VoiceError for what is no base64. */
  push(base64: unknown): Buffer {
    return base64 === '' ? NOTHING : this.#decoder.push(decodeBase64(base64));
  }

  /** What was held back, as if silence followed; what comes next begins anew. */
  flush(): Buffer {
    const rest = this.#decoder.flush();
    this.clear();
    return rest;
  }

  clear(): void {
    this.#decoder = new PcmDecoder(this.#format);
  }
}

function pcmFormat(format: InputFormat): PcmFormat {
  switch (format.type) {
    case 'audio/pcm':
      return { encoding: 's16le', rate: format.rate };
    case 'audio/pcmu':
      return { encoding: 'mulaw', rate: TELEPHONE_RATE };
    case 'audio/pcma':
      return { encoding: 'alaw', rate: TELEPHONE_RATE };
  }
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
