import { splitWord, type Word } from '@voice-fleet/speech/words';

/** Where words end. No-break spaces stand inside words, as French has them before its marks. */
const SPACE = /[^\S\u00a0\u202f]/u;
/** What has no space for so long is no word; bounds what is kept. */
const MAX_WORD_CHARS = 256;
/** One token of the model: 80 ms. No word is made of less. */
const TOKEN_SAMPLES = 1_280;

/**
 * Makes words of printed text that comes in any pieces. A word is complete when white space or, in scripts without
 * spaces, another character follows. A word ends where its last piece was heard: the only time there is.
 */
export class WordSplitter {
  #pending = '';
  #isSpaced = false;
  #isFirst = true;
  /** Where the first and the last piece of the pending word were heard. */
  #fromSample = 0;
  #untilSample = 0;
  #lastEndSample = 0;

  /** The word that may still go on. */
  get tail(): string {
    return this.#pending;
  }

  /** Takes what was printed when the audio up to `heardSample` was heard; returns the words it completes. */
  push(text: string, heardSample: number): Word[] {
    const words: Word[] = [];
    for (const char of text) {
      if (SPACE.test(char)) {
        words.push(...this.settle());
        this.#isSpaced = true;
        continue;
      }
      if (this.#pending === '') {
        this.#pending = this.#isSpaced && !this.#isFirst ? ' ' : '';
        this.#fromSample = heardSample;
        this.#isSpaced = false;
        this.#isFirst = false;
      }
      this.#pending += char;
      this.#untilSample = heardSample;
      if (this.#pending.length >= MAX_WORD_CHARS) words.push(...this.settle());
    }
    words.push(...this.#settleUnits());
    return words;
  }

  /** The pending word is complete as it is. What is printed next without a space before it continues its text. */
  settle(): Word[] {
    return this.#pending === '' ? [] : [...splitWord(this.#take(this.#pending))];
  }

  /** In scripts without spaces every character is a word; only the last may still get a mark. */
  #settleUnits(): Word[] {
    const units = splitWord({ text: this.#pending, startSample: 0, endSample: 0 });
    const last = units.at(-1);
    if (units.length < 2 || last === undefined) return [];
    const whole = this.#take(this.#pending.slice(0, -last.text.length));
    this.#pending = last.text;
    this.#fromSample = this.#untilSample;
    return [...splitWord(whole)];
  }

  #take(text: string): Word {
    this.#pending = '';
    const endSample = Math.max(this.#lastEndSample, this.#untilSample);
    const startSample = Math.max(
      this.#lastEndSample,
      Math.min(this.#fromSample, endSample - TOKEN_SAMPLES),
    );
    this.#lastEndSample = endSample;
    return { text, startSample, endSample };
  }
}
