import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** A word lasts 320 ms and is followed by 80 ms of silence. */
export const WORD_SAMPLES = 0.32 * SAMPLE_RATE;
export const GAP_SAMPLES = 0.08 * SAMPLE_RATE;
export const SLOT_SAMPLES = WORD_SAMPLES + GAP_SAMPLES;

/**
 * "Speech" that fake engines understand: word `n`, from 1 to 32767, is a run of samples of the value n, silence is zero. So
 * every sample of every word can be accounted for on its way through the fleet.
 */
export function speak(words: readonly number[]): Buffer {
  const samples = new Int16Array(words.length * SLOT_SAMPLES);
  for (const [index, word] of words.entries()) {
    const from = index * SLOT_SAMPLES;
    samples.fill(word, from, from + WORD_SAMPLES);
  }
  return Buffer.from(samples.buffer);
}

/** All whole numbers from `from` to `to`, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** What a fake engine writes of `speak(words)`, the words joined by spaces. */
export function transcript(words: readonly number[]): string {
  return words.map((word) => `w${word}`).join(' ');
}

export function silence(ms: number): Buffer {
  return Buffer.alloc(Math.round((ms / 1000) * SAMPLE_RATE) * BYTES_PER_SAMPLE);
}

/** Cuts audio into frames of 80 ms; the last may be shorter. The parts share the memory of `pcm`. */
export function frames(pcm: Buffer, frameMs = 80): Buffer[] {
  const bytes = Math.round((frameMs / 1000) * SAMPLE_RATE) * BYTES_PER_SAMPLE;
  const parts: Buffer[] = [];
  for (let at = 0; at < pcm.length; at += bytes) parts.push(pcm.subarray(at, at + bytes));
  return parts;
}

export interface ListenerOptions {
  /** How a recognised number is written; `nth` counts the words of this listener from 0. Default `w<n>`. */
  readonly spell?: (word: number, nth: number) => string;
  /** A word of which less than this part was heard is not recognised. Default 0.5. */
  readonly minHeard?: number;
}

/** Said in turn over audio that is not coded. */
const PSEUDO_WORDS = ['well', 'so', 'then', 'maybe', 'the', 'other', 'house', 'again'] as const;
/** One pseudo word for so many voiced frames: with frames of 80 ms, two and a half words a second. */
const PSEUDO_EVERY_FRAMES = 5;
/** Mean square from which real audio counts as voiced: -45 dBFS, above the noise of a quiet room. */
const VOICED_POWER = 32_768 ** 2 * 10 ** (-45 / 10);

const NOTHING: readonly string[] = [];

/**
 * Hears PCM16 in order and says which words ended in each part of it. Coded words are told by their constant value, and are
 * said in the part in which they reach their full length, or else in which their run is seen to end. Other audio is
 * answered with a word from a small list now and then, as long as it is voiced.
 */
export class CodedListener {
  readonly #spell: (word: number, nth: number) => string;
  readonly #minSamples: number;
  /** The present run of equal samples. */
  #value = 0;
  #runSamples = 0;
  /** The run was said, or is no word. */
  #said = true;
  #words = 0;
  #voicedFrames = 0;
  #found: string[] | undefined;

  constructor(options: ListenerOptions = {}) {
    this.#spell = options.spell ?? ((word) => `w${word}`);
    this.#minSamples = WORD_SAMPLES * (options.minHeard ?? 0.5);
  }

  /** Words that ended in `pcm`, in order. Pseudo words count the calls, so give it frames of 80 ms. */
  hear(pcm: Buffer): readonly string[] {
    this.#found = undefined;
    const bytes = pcm.length - (pcm.length % BYTES_PER_SAMPLE);
    if (bytes === 0) return NOTHING;
    if (isSteady(pcm, bytes)) this.#take(pcm.readInt16LE(0), bytes / BYTES_PER_SAMPLE);
    else this.#hearVaried(pcm, bytes);
    if (this.#runSamples >= WORD_SAMPLES) this.#settle();
    return this.#found ?? NOTHING;
  }

  #hearVaried(pcm: Buffer, bytes: number): void {
    let changes = 0;
    let energy = 0;
    for (let at = 0; at < bytes; at += BYTES_PER_SAMPLE) {
      const value = pcm.readInt16LE(at);
      if (value !== this.#value) changes += 1;
      energy += value * value;
      this.#take(value, 1);
    }
    const samples = bytes / BYTES_PER_SAMPLE;
    // Coded audio changes its value a few times in a frame, a voice at nearly every sample.
    if (changes > samples / 2 && energy / samples >= VOICED_POWER) this.#sayPseudo();
  }

  #take(value: number, samples: number): void {
    if (value === this.#value) {
      this.#runSamples += samples;
      return;
    }
    if (this.#runSamples >= this.#minSamples) this.#settle();
    this.#value = value;
    this.#runSamples = samples;
    this.#said = value <= 0;
  }

  #settle(): void {
    if (this.#said) return;
    this.#said = true;
    this.#say(this.#spell(this.#value, this.#words));
    this.#words += 1;
  }

  #sayPseudo(): void {
    this.#voicedFrames += 1;
    if (this.#voicedFrames % PSEUDO_EVERY_FRAMES !== 0) return;
    const nth = this.#voicedFrames / PSEUDO_EVERY_FRAMES - 1;
    this.#say(PSEUDO_WORDS[nth % PSEUDO_WORDS.length] ?? '');
  }

  #say(word: string): void {
    this.#found ??= [];
    this.#found.push(word);
  }
}

/** All samples are equal: the audio equals itself one sample later, which one native comparison tells. */
function isSteady(pcm: Buffer, bytes: number): boolean {
  return pcm.compare(pcm, 0, bytes - BYTES_PER_SAMPLE, BYTES_PER_SAMPLE, bytes) === 0;
}
