import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** A word lasts 320 ms and is followed by 80 ms of silence. */
export const WORD_SAMPLES = 0.32 * SAMPLE_RATE;
export const GAP_SAMPLES = 0.08 * SAMPLE_RATE;
export const SLOT_SAMPLES = WORD_SAMPLES + GAP_SAMPLES;

/**
 * "Speech" that the scripted engine understands: word `n` is a run of samples of the value n, silence is zero. So every
 * sample of every word can be accounted for on its way through the fleet.
 */
export function speak(words: readonly number[]): Buffer {
  const pcm = Buffer.alloc(words.length * SLOT_SAMPLES * 2);
  for (const [index, word] of words.entries()) {
    const from = index * SLOT_SAMPLES;
    for (let sample = from; sample < from + WORD_SAMPLES; sample += 1)
      pcm.writeInt16LE(word, sample * 2);
  }
  return pcm;
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** The transcript that the scripted engine gives of `speak(words)`. */
export function transcript(words: readonly number[]): string {
  return words.map((word) => `w${word}`).join(' ');
}

export function silence(ms: number): Buffer {
  return Buffer.alloc(Math.round((ms / 1000) * SAMPLE_RATE) * 2);
}

/** Cuts audio into frames of 80 ms. */
export function frames(pcm: Buffer, frameMs = 80): Buffer[] {
  const bytes = Math.round((frameMs / 1000) * SAMPLE_RATE) * 2;
  const parts: Buffer[] = [];
  for (let at = 0; at < pcm.length; at += bytes) parts.push(pcm.subarray(at, at + bytes));
  return parts;
}
