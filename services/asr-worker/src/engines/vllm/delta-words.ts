import { VLLM_FRAME_SAMPLES } from '@voice-fleet/protocol/vllm-realtime';
import { beginsWord, type Word } from '@voice-fleet/speech/words';

/** Parts of a word come in successive frames; a character of several tokens leaves one frame empty. */
const SETTLED_AFTER_EMPTY = 2;
/** A word's frame is told to one or two frames only. */
const MARGIN_SAMPLES = 3 * VLLM_FRAME_SAMPLES;
const PIECES = /\s*\S+|\s+$/gu;
const NOTHING: readonly Word[] = [];

/**
 * Makes words with times of Voxtral's deltas: number k, from 0 and with the empty ones counted, is what the 80 ms that end
 * at (k + 1) x 80 ms of audio brought.
 */
export class DeltaWords {
  #count = 0;
  #emptyRun = 0;
  #text = '';
  #from = 0;
  #to = 0;
  #first = true;

  /** Deltas so far. */
  get count(): number {
    return this.#count;
  }

  /** How many of the last ones were empty. */
  get emptyRun(): number {
    return this.#emptyRun;
  }

  /** The word that is not settled yet. */
  get tail(): string {
    return this.#first ? this.#text.trimStart() : this.#text;
  }

  /** All words that end before this sample have been returned. */
  get heardSample(): number {
    const sample = (this.#isWord ? this.#from : this.#count) * VLLM_FRAME_SAMPLES;
    return Math.max(0, sample - MARGIN_SAMPLES);
  }

  /** Takes the next delta; returns the words that are settled by it. */
  take(delta: string): readonly Word[] {
    const ordinal = this.#count;
    this.#count += 1;
    if (delta === '') {
      this.#emptyRun += 1;
      return this.#emptyRun >= SETTLED_AFTER_EMPTY ? this.finish() : NOTHING;
    }
    this.#emptyRun = 0;
    const settled: Word[] = [];
    for (const piece of delta.match(PIECES) ?? []) {
      if (this.#isWord && beginsWord(this.#text, piece)) settled.push(...this.finish());
      if (!this.#isWord) this.#from = ordinal;
      this.#text += piece;
      this.#to = ordinal;
    }
    return settled;
  }

  /** There will be no more, for now: settles the last word. */
  finish(): readonly Word[] {
    if (!this.#isWord) return NOTHING;
    const word = {
      text: this.tail,
      startSample: this.#from * VLLM_FRAME_SAMPLES,
      endSample: (this.#to + 1) * VLLM_FRAME_SAMPLES,
    };
    this.#text = '';
    this.#first = false;
    return [word];
  }

  /** Not mere white space, which may stay alone for long and belongs to the word behind it. */
  get #isWord(): boolean {
    return this.#text.trim() !== '';
  }
}
