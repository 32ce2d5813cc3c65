import { writeWav } from '@voice-fleet/speech/wav';
import { bytesOf, type SpeechEncoder } from './encoder.ts';

const RIFF_SIZE_AT = 4;
const DATA_SIZE_AT = 40;
/** As writers put it that do not know yet how long it becomes. */
const UNKNOWN_SIZE = 0xffff_ffff;

/** PCM16 LE without a header. */
export class PcmEncoder implements SpeechEncoder {
  push(pcm: Int16Array): Buffer {
    // A copy: the caller may use its samples again.
    return Buffer.from(bytesOf(pcm));
  }

  end(): Buffer {
    return Buffer.alloc(0);
  }

  close(): void {}
}

/** A WAV file whose header was written before its length was known. */
export class WavEncoder implements SpeechEncoder {
  readonly #header: Buffer;
  #isBegun = false;

  constructor(sampleRate: number) {
    this.#header = writeWav(Buffer.alloc(0), sampleRate);
    this.#header.writeUInt32LE(UNKNOWN_SIZE, RIFF_SIZE_AT);
    this.#header.writeUInt32LE(UNKNOWN_SIZE, DATA_SIZE_AT);
  }

  push(pcm: Int16Array): Buffer {
    return Buffer.concat([this.#begin(), bytesOf(pcm)]);
  }

  end(): Buffer {
    return this.#begin();
  }

  close(): void {}

  #begin(): Buffer {
    if (this.#isBegun) return Buffer.alloc(0);
    this.#isBegun = true;
    return this.#header;
  }
}
