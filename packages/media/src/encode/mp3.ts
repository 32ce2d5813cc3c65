import { createMp3Encoder } from 'wasm-media-encoders';
import type { SpeechEncoder } from './encoder.ts';

/** Plenty for one voice, and what a second of it takes. */
const KBIT_PER_S = 64;
const FULL_SCALE = 32_768;

/** MPEG layer III at a constant rate, by LAME as WebAssembly. */
export async function createMp3(sampleRate: number): Promise<SpeechEncoder> {
  const lame = await createMp3Encoder();
  lame.configure({ channels: 1, sampleRate, bitrate: KBIT_PER_S });
  return {
    push: (pcm) => {
      // Its answer is a view of memory that the next call writes to.
      return Buffer.from(lame.encode([Float32Array.from(pcm, (sample) => sample / FULL_SCALE)]));
    },
    end: () => Buffer.from(lame.finalize()),
    close: () => undefined,
  };
}
