import type { Word } from '@voice-fleet/speech/words';

/** Tuned on the librivox recordings, see docs/adr/0006-embedded-engine.md. */
const SETTLE_AFTER_SAMPLES = 11_200;
const SAME_IN_HYPOTHESES = 5;
/** Word edges move by a few frames while the search goes on. */
const SAME_WITHIN_SAMPLES = 800;

/**
 * Turns a recogniser's changing guesses into words that are never taken back. A word is settled once it lies well behind
 * the newest audio and the last few guesses agreed on it; what a later guess says before that point is ignored.
 * Words come in with bare texts and leave with the space that joins them.
 */
export class WordSettler {
  readonly #resumeAtSample: number;
  readonly #recent: (readonly Word[])[] = [];
  #last: Word | undefined;
  #tail = '';

  /** For a segment decoded anew: its last settled word, and the audio up to which nothing more was settled. */
  constructor(last?: Word, resumeAtSample = 0) {
    this.#last = last && { ...last, text: last.text.trimStart() };
    this.#resumeAtSample = resumeAtSample;
  }

  /** The present guess at what follows the settled words. */
  get tail(): string {
    return this.#tail;
  }

  /** Takes the guess at all audio up to `decodedSamples`; returns what it settles. */
  observe(hypothesis: readonly Word[], decodedSamples: number): Word[] {
    this.#recent.push(hypothesis);
    if (this.#recent.length > SAME_IN_HYPOTHESES) this.#recent.shift();
    const rest = this.#after(hypothesis);
    const settled =
      decodedSamples > this.#resumeAtSample && this.#recent.length === SAME_IN_HYPOTHESES
        ? rest.slice(0, this.#countSettled(rest, decodedSamples - SETTLE_AFTER_SAMPLES))
        : [];
    return this.#settle(settled, rest.slice(settled.length));
  }

  /** Takes the last word on all audio; returns every word not settled before. */
  finish(hypothesis: readonly Word[]): Word[] {
    return this.#settle(this.#after(hypothesis), []);
  }

  #countSettled(rest: readonly Word[], settleBeforeSample: number): number {
    const others = this.#recent.slice(0, -1).map((hypothesis) => this.#after(hypothesis));
    const open = rest.findIndex(
      (word, at) =>
        word.endSample > settleBeforeSample || !others.every((other) => isSame(word, other[at])),
    );
    return open === -1 ? rest.length : open;
  }

  /** The part of a guess that begins where the settled words end. */
  #after(hypothesis: readonly Word[]): readonly Word[] {
    const last = this.#last;
    if (!last) return hypothesis;
    const same = hypothesis.findIndex((word) => isSame(word, last));
    if (same !== -1) return hypothesis.slice(same + 1);
    // The guess has changed its mind on the last settled word: what mostly lies behind it is new.
    return hypothesis.filter((word) => (word.startSample + word.endSample) / 2 >= last.endSample);
  }

  #settle(words: readonly Word[], rest: readonly Word[]): Word[] {
    const settled = words.map((word) => this.#append(word));
    const texts = rest.map((word) => word.text).join(' ');
    this.#tail = texts && this.#last ? ` ${texts}` : texts;
    return settled;
  }

  #append(word: Word): Word {
    const isFirst = this.#last === undefined;
    // Where guesses disagree on an edge, times still never go back.
    const startSample = Math.max(word.startSample, this.#last?.endSample ?? 0);
    this.#last = { ...word, startSample };
    return isFirst ? this.#last : { ...this.#last, text: ` ${word.text}` };
  }
}

function isSame(word: Word, other: Word | undefined): boolean {
  return (
    other !== undefined &&
    word.text === other.text &&
    Math.abs(word.startSample - other.startSample) <= SAME_WITHIN_SAMPLES &&
    Math.abs(word.endSample - other.endSample) <= SAME_WITHIN_SAMPLES
  );
}
