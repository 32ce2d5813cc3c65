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

  /** The part of a guess that begins where the settled words end, with the spaces that join it to them. */
  #after(hypothesis: readonly Word[]): readonly Word[] {
    const last = this.#last;
    if (!last) return hypothesis.map((word, at) => (at === 0 ? word : spaced(word)));
    const at = hypothesis.findIndex((word) => isSame(word, last) || isLonger(word, last));
    const same = hypothesis[at];
    if (same) {
      // "him" has become "himself": what was said stays true, and only "self" is missing.
      const ending = same.text.slice(last.text.length);
      const rest = hypothesis.slice(at + 1).map(spaced);
      return ending === '' ? rest : [{ ...same, text: ending }, ...rest];
    }
    // The guess has changed its mind on the last settled word: what mostly lies behind it is new.
    return hypothesis
      .filter((word) => (word.startSample + word.endSample) / 2 >= last.endSample)
      .map(spaced);
  }

  #settle(words: readonly Word[], rest: readonly Word[]): Word[] {
    this.#tail = rest.map((word) => word.text).join('');
    return words.map((word) => {
      const before = this.#last;
      // Where guesses disagree on an edge, times still never go back.
      const startSample = Math.max(word.startSample, before?.endSample ?? 0);
      const isEnding = before !== undefined && !word.text.startsWith(' ');
      this.#last = isEnding
        ? { ...before, text: before.text + word.text, endSample: word.endSample }
        : { ...word, text: word.text.trimStart(), startSample };
      return { ...word, startSample, endSample: Math.max(word.endSample, startSample) };
    });
  }
}

function spaced(word: Word): Word {
  return { ...word, text: ` ${word.text}` };
}

/** The word goes on after the other, from the same start. */
function isLonger(word: Word, other: Word): boolean {
  return (
    word.text.startsWith(other.text) &&
    Math.abs(word.startSample - other.startSample) <= SAME_WITHIN_SAMPLES &&
    word.endSample > other.endSample
  );
}

function isSame(word: Word, other: Word | undefined): boolean {
  return (
    other !== undefined &&
    word.text === other.text &&
    Math.abs(word.startSample - other.startSample) <= SAME_WITHIN_SAMPLES &&
    Math.abs(word.endSample - other.endSample) <= SAME_WITHIN_SAMPLES
  );
}
