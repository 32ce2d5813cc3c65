/** Distinct transcripts of one recording that are kept; more are only counted. */
const MAX_KEPT = 64;

export interface WordsReport {
  readonly recording: string;
  readonly transcripts: number;
  readonly distinct: number;
  /** Of all transcripts, how many are not the most frequent one. */
  readonly deviating: number;
  /** Wrong, missing and added words of those for each word of the most frequent one, over all transcripts. */
  readonly deviation: number;
  /** Words of the most frequent transcript that others lack, in all. */
  readonly lostWords: number;
  /** Wrong, missing and added words for each word that was said; absent where that is not known. */
  readonly wordErrorRate: number | undefined;
}

/** What sessions understood of one recording. The same speech has the same words however many speak: where it has not, load shows. */
export class TranscriptTally {
  readonly #recording: string;
  readonly #reference: readonly string[] | undefined;
  readonly #counts = new Map<string, number>();
  #total = 0;
  /** Of texts for which there was no room. */
  #others = 0;

  constructor(recording: string, reference: string | undefined) {
    this.#recording = recording;
    this.#reference = reference === undefined ? undefined : wordsOf(reference);
  }

  add(transcript: string): void {
    const text = wordsOf(transcript).join(' ');
    const count = this.#counts.get(text);
    this.#total += 1;
    if (count === undefined && this.#counts.size >= MAX_KEPT) this.#others += 1;
    else this.#counts.set(text, (count ?? 0) + 1);
  }

  /** Texts beyond the 64 that are kept count as deviating, and are in no rate of errors. */
  get report(): WordsReport {
    const kept = [...this.#counts].sort(([, a], [, b]) => b - a);
    const [usual = '', most = 0] = kept[0] ?? [];
    const agreed = wordsOf(usual);
    let deviation = 0;
    let lostWords = 0;
    let errors = 0;
    for (const [text, count] of kept) {
      const words = wordsOf(text);
      const against = wordErrors(agreed, words);
      deviation += against.errors * count;
      lostWords += against.missing * count;
      if (this.#reference) errors += wordErrors(this.#reference, words).errors * count;
    }
    const counted = this.#total - this.#others;
    return {
      recording: this.#recording,
      transcripts: this.#total,
      distinct: this.#counts.size + this.#others,
      deviating: this.#total - most,
      deviation: deviation / Math.max(1, agreed.length * counted),
      lostWords,
      wordErrorRate:
        this.#reference && counted > 0
          ? errors / Math.max(1, this.#reference.length * counted)
          : undefined,
    };
  }
}

/** In lower case and without punctuation, so that engines that write differently compare. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
}

interface Cell {
  readonly errors: number;
  readonly missing: number;
}

/** The fewest changes that make `words` of `expected`, and how many of them are words left out. */
export function wordErrors(expected: readonly string[], words: readonly string[]): Cell {
  let row: Cell[] = Array.from({ length: words.length + 1 }, (_, added) => ({
    errors: added,
    missing: 0,
  }));
  for (const word of expected) {
    const above = row;
    const [corner = { errors: 0, missing: 0 }] = above;
    row = [{ errors: corner.errors + 1, missing: corner.missing + 1 }];
    for (const [at, other] of words.entries()) {
      const diagonal = above[at] ?? corner;
      const up = above[at + 1] ?? corner;
      const left = row[at] ?? corner;
      const same = word === other ? 0 : 1;
      const best = Math.min(diagonal.errors + same, up.errors + 1, left.errors + 1);
      if (best === diagonal.errors + same) row.push({ ...diagonal, errors: best });
      else if (best === up.errors + 1) row.push({ errors: best, missing: up.missing + 1 });
      else row.push({ ...left, errors: best });
    }
  }
  return row.at(-1) ?? { errors: 0, missing: 0 };
}
