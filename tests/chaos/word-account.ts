/** What became of the words that were said. */
export interface WordAccount {
  readonly sent: number;
  /** Said and never heard. */
  readonly lost: number;
  /** Heard again: every time but the first. */
  readonly doubled: number;
  /** The fewest words that must be taken from their places for the others to stand in the order said. */
  readonly reordered: number;
  /** Heard and never said: pieces of words, and words of others. */
  readonly foreign: number;
}

export const NO_WORDS: WordAccount = { sent: 0, lost: 0, doubled: 0, reordered: 0, foreign: 0 };

/** Compares what was heard with what was said. No word may be said twice; that would leave open which one was lost. */
export function accountWords(said: readonly string[], heard: readonly string[]): WordAccount {
  const places = new Map(said.map((word, place) => [word, place]));
  if (places.size < said.length) throw new RangeError('a word was said twice');
  const known = heard.flatMap((word) => places.get(word) ?? []);
  const distinct = new Set(known).size;
  return {
    sent: said.length,
    lost: said.length - distinct,
    doubled: known.length - distinct,
    // A double in the wrong place is a double: its other place counts.
    reordered: distinct - longestRise(known),
    foreign: heard.length - known.length,
  };
}

export function addAccounts(accounts: readonly WordAccount[]): WordAccount {
  return accounts.reduce(
    (sum, one) => ({
      sent: sum.sent + one.sent,
      lost: sum.lost + one.lost,
      doubled: sum.doubled + one.doubled,
      reordered: sum.reordered + one.reordered,
      foreign: sum.foreign + one.foreign,
    }),
    NO_WORDS,
  );
}

/** Length of the longest strictly rising subsequence. */
function longestRise(values: readonly number[]): number {
  /** At index n, the least value with which a rise of n + 1 values ends. */
  const ends: number[] = [];
  for (const value of values) {
    let from = 0;
    let to = ends.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((ends[middle] ?? 0) < value) from = middle + 1;
      else to = middle;
    }
    ends[from] = value;
  }
  return ends.length;
}
