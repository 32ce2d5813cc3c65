import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';

/** Samples to a token. */
export const TOKEN_SAMPLES = 1280;

/** The sample at a place of the utterance with a number: any that is lost, moved or of another utterance shows. */
export function codedSample(utterance: number, at: number): number {
  return ((at * 31 + utterance * 7919) % 60_013) - 30_000;
}

export function codedPcm(utterance: number, from: number, samples: number): Buffer {
  const pcm = Buffer.alloc(samples * BYTES_PER_SAMPLE);
  for (let i = 0; i < samples; i++) {
    pcm.writeInt16LE(codedSample(utterance, from + i), i * BYTES_PER_SAMPLE);
  }
  return pcm;
}

/** What the scripted server makes of an utterance. */
export function codedText(samples: number): string {
  const tokens = Math.floor(samples / TOKEN_SAMPLES);
  return `${Array.from({ length: tokens }, (_, i) => ` t${i}`).join('')} end${samples}`;
}
