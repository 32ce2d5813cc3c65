import { msToSamples } from './pcm.ts';
import { mergeSeam } from './seam.ts';
import { spaced, splitWord, type Word } from './words.ts';

export interface JoinerOptions {
  /** Audio that two successive segments both hear, unless `roll` says otherwise; 0 only puts their words one behind the other. */
  readonly overlapSamples: number;
  /** The most that `roll` will say; default: the same. */
  readonly maxOverlapSamples?: number;
  /** A usual error of the engine's word times; default: of an engine that aligns its words. */
  readonly timeErrorSamples?: number;
}

/** A new word that starts this much behind the roll is no word of the overlap, even if its time is off. */
const SLACK = msToSamples(250);
/** Shown words this much before the overlap still help to find the place in it. */
const CONTEXT = msToSamples(600);
/** Bounds what an engine without usable times can make it hold. */
const MAX_WORDS = 128;

/**
 * Makes one transcript of the words of successive segments, which overlap. What it returns is final: clients append.
 * So words of the overlap wait for the next segment's version of them; all others pass at once.
 */
export class TranscriptJoiner {
  readonly #overlapSamples: number;
  readonly #maxOverlapSamples: number;
  readonly #timeErrorSamples: number | undefined;
  /** See SLACK. */
  readonly #slack: number;
  /** The transcript's latest words, the first `#shown` of which were returned. */
  #recent: Word[] = [];
  #shown = 0;
  /** The new segment's words while the seam behind `#recent` is undecided. */
  #fresh: Word[] | undefined;
  #rolledAt = 0;
  /** How much audio before `#rolledAt` the new segment hears again. */
  #heardAgain = 0;
  #rollAt: number | undefined;
  /** The next word is the first of its segment, behind a seam at which nothing was heard twice. */
  #atSeam = false;

  constructor({ overlapSamples, maxOverlapSamples, timeErrorSamples }: JoinerOptions) {
    this.#overlapSamples = overlapSamples;
    this.#maxOverlapSamples = Math.max(overlapSamples, maxOverlapSamples ?? 0);
    this.#timeErrorSamples = timeErrorSamples;
    this.#slack = Math.max(SLACK, timeErrorSamples ?? 0);
  }

  /**
   * Goes on with a transcript that another joiner has begun: `shown` are the last words it returned, all of them up to
   * `sample`. The first segment begins `overlapSamples` before that.
   */
  resume(shown: readonly Word[], sample: number, overlapSamples: number): void {
    this.#recent = [...shown];
    this.#shown = shown.length;
    this.roll(sample, overlapSamples);
  }

  /** Of the words that end before this sample, all that were given were returned; behind it some may wait. */
  get heldFrom(): number {
    let sample = this.#fresh ? this.#rolledAt : Number.POSITIVE_INFINITY;
    for (let held = this.#shown; held < this.#recent.length; held += 1)
      sample = Math.min(sample, this.#recent[held]?.startSample ?? sample);
    return sample;
  }

  /** Settled words of the current segment, in order. Returns the words that may be shown. */
  words(words: readonly Word[]): Word[] {
    const ready: Word[] = [];
    // One by one, so that what is decided does not depend on how many come at once.
    for (const word of words) for (const unit of splitWord(word)) ready.push(...this.#accept(unit));
    return ready;
  }

  /** Where the current segment will be rolled, as far as known; words of the overlap before it wait from now on. */
  expectRollAt(sample: number | undefined): Word[] {
    this.#rollAt = sample;
    return this.#show();
  }

  /**
   * The current segment is complete up to `sample`, and gives no more words; they now come from the next, begun
   * `overlapSamples` earlier.
   */
  roll(sample: number, overlapSamples = this.#overlapSamples): Word[] {
    this.#decide();
    this.#rollAt = sample;
    const ready = this.#show();
    this.#rollAt = undefined;
    this.#rolledAt = sample;
    this.#heardAgain = overlapSamples;
    this.#fresh = [];
    return ready;
  }

  /** The engine settled all words that start before `sample`. */
  progress(sample: number): Word[] {
    if (!this.#fresh || sample <= this.#rolledAt + this.#slack) return [];
    this.#decide();
    return this.#show();
  }

  /** The utterance is over: returns all that waits and starts anew. */
  end(): Word[] {
    this.#decide();
    this.#rollAt = undefined;
    const ready = this.#show();
    this.#recent = [];
    this.#shown = 0;
    return ready;
  }

  #accept(word: Word): Word[] {
    if (!this.#fresh) {
      // An engine puts no space before the first word of a segment.
      const before = this.#atSeam ? (this.#recent.at(-1)?.text ?? '') : '';
      this.#atSeam = false;
      this.#recent.push({ ...word, text: spaced(before, word.text) });
      return this.#show();
    }
    this.#fresh.push(word);
    const decided =
      word.startSample > this.#rolledAt + this.#slack ||
      this.#fresh.length >= MAX_WORDS ||
      this.#heardAgain === 0;
    if (!decided) return [];
    this.#decide();
    return this.#show();
  }

  #decide(): void {
    if (!this.#fresh) return;
    const fresh = this.#fresh;
    this.#fresh = undefined;
    this.#atSeam = fresh.length === 0;
    this.#recent = mergeSeam({
      old: this.#recent,
      shown: this.#shown,
      fresh,
      overlap: {
        fromSample: this.#rolledAt - this.#heardAgain,
        toSample: this.#rolledAt,
        ...(this.#timeErrorSamples ? { timeErrorSamples: this.#timeErrorSamples } : {}),
      },
    });
  }

  /** Returns the words that need not wait, and forgets those that no seam to come can be about. */
  #show(): Word[] {
    if (this.#fresh) return [];
    const holdFrom = this.#holdFrom();
    const from = this.#shown;
    for (let word = this.#recent[from]; word; word = this.#recent[this.#shown]) {
      if (word.endSample > holdFrom && this.#recent.length - this.#shown < MAX_WORDS) break;
      const before = this.#recent[this.#shown - 1]?.startSample ?? word.startSample;
      const startSample = Math.max(word.startSample, before);
      const endSample = Math.max(word.endSample, startSample);
      this.#recent[this.#shown] = { ...word, startSample, endSample };
      this.#shown += 1;
    }
    const ready = this.#recent.slice(from, this.#shown);
    this.#prune();
    return ready;
  }

  #holdFrom(): number {
    if (this.#rollAt === undefined || this.#overlapSamples === 0) return Number.POSITIVE_INFINITY;
    // Words from behind a roll that did not come: it will be decided anew, and these must not wait for it.
    const passed = (this.#recent.at(-1)?.startSample ?? 0) > this.#rollAt + this.#slack;
    return passed ? Number.POSITIVE_INFINITY : this.#rollAt - this.#overlapSamples;
  }

  #prune(): void {
    const last = this.#recent[this.#shown - 1];
    if (!last) return;
    const oldest = last.startSample - this.#maxOverlapSamples - this.#slack - CONTEXT;
    let gone = 0;
    while (gone < this.#shown - 1 && (this.#recent[gone]?.endSample ?? 0) < oldest) gone += 1;
    gone = Math.max(gone, this.#shown - MAX_WORDS);
    this.#recent.splice(0, gone);
    this.#shown -= gone;
  }
}
