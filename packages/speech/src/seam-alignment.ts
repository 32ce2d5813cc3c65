import { msToSamples } from './pcm.ts';
import { normalizeWord, type Word } from './words.ts';

/** The audio both segments heard. */
export interface Overlap {
  readonly fromSample: number;
  readonly toSample: number;
  /** A usual error of a word's time; default: of an engine that aligns its words. */
  readonly timeErrorSamples?: number;
}

/** An old and a new word made of the same audio. Of a word cut off at the end of the old segment the new one is whole. */
export interface Pair {
  readonly old: number;
  readonly fresh: number;
  readonly kind: 'same' | 'misheard' | 'cut-in-old';
}

/** A usual error of a word's time. */
const TIME_ERROR = msToSamples(150);
/** Two versions of one word are never told further apart than so many errors. */
const MAX_SHIFT = 400 / 150;
/** How far a time may be off, in errors, where it decides whether a word lay in the overlap. */
const EDGE = 160 / 150;

// Costs, in the manner of negative log likelihoods: a word that lay in the overlap and has no counterpart, ...
const MISSING = 4;
// ... a pair of the same text (two words of a conversation are seldom the same by chance), ...
const SAME = -1;
const CUT = -0.5;
// ... and two texts for the same audio, which is likely only where one engine stream heard half a word.
const MISHEARD = 5;
const MISHEARD_CUT = 2;

/** A word with what it costs to leave it without a counterpart. */
interface Heard {
  readonly word: Word;
  readonly key: string;
  /** At the edge of its segment, where it may be only the part of a word that was heard. */
  readonly outermost: boolean;
  /** So near the edge of the audio that its other end means nothing. */
  readonly cut: boolean;
  readonly missing: number;
}

type Step = Pair | 'skip-old' | 'skip-fresh';

/**
 * The most likely pairing of the old segment's last words with the new segment's first. Word times are too rough to
 * tell repetitions apart one by one; over the whole overlap, order, text and time together do.
 */
export function alignSeam(
  oldWords: readonly Word[],
  freshWords: readonly Word[],
  overlap: Overlap,
): Pair[] {
  const timeError = overlap.timeErrorSamples ?? TIME_ERROR;
  const old = hearOld(oldWords, overlap, EDGE * timeError);
  const fresh = hearFresh(freshWords, overlap, EDGE * timeError);
  // At o * width + f: the cheapest way to the end when o old and f new words are read, and its first step.
  const width = fresh.length + 1;
  const costs = new Float64Array((old.length + 1) * width);
  const steps: Step[] = [];
  for (let o = old.length; o >= 0; o -= 1) {
    for (let f = fresh.length; f >= 0; f -= 1) {
      const at = o * width + f;
      const oldWord = old[o];
      const freshWord = fresh[f];
      let cheapest = Number.POSITIVE_INFINITY;
      const consider = (step: Step, cost: number, next: number): void => {
        const total = cost + (costs[next] ?? 0);
        if (total >= cheapest) return;
        cheapest = total;
        costs[at] = total;
        steps[at] = step;
      };
      if (oldWord && freshWord) {
        const { kind, cost } = judge(oldWord, freshWord, timeError);
        consider({ old: o, fresh: f, kind }, cost, at + width + 1);
      }
      if (oldWord) consider('skip-old', oldWord.missing, at + width);
      if (freshWord) consider('skip-fresh', freshWord.missing, at + 1);
    }
  }
  return pairsAlong(steps, width);
}

function pairsAlong(steps: readonly Step[], width: number): Pair[] {
  const pairs: Pair[] = [];
  let at = 0;
  for (let step = steps[at]; step; step = steps[at]) {
    if (step === 'skip-old') at += width;
    else if (step === 'skip-fresh') at += 1;
    else {
      pairs.push(step);
      at += width + 1;
    }
  }
  return pairs;
}

/** The new segment hears whatever starts in the overlap or later, ... */
function hearOld(words: readonly Word[], { fromSample, toSample }: Overlap, edge: number): Heard[] {
  return words.map((word, index) => {
    const key = normalizeWord(word.text);
    const outermost = index === words.length - 1;
    const cut = outermost && word.endSample >= toSample - edge;
    return {
      word,
      key,
      outermost,
      cut,
      missing: missing(key, word.startSample - fromSample, edge),
    };
  });
}

/** ... and the old one had heard whatever ends in it or earlier. */
function hearFresh(
  words: readonly Word[],
  { fromSample, toSample }: Overlap,
  edge: number,
): Heard[] {
  return words.map((word, index) => {
    const key = normalizeWord(word.text);
    const outermost = index === 0;
    const cut = outermost && word.startSample <= fromSample + edge;
    return { word, key, outermost, cut, missing: missing(key, toSample - word.endSample, edge) };
  });
}

function judge(old: Heard, fresh: Heard, timeError: number): { kind: Pair['kind']; cost: number } {
  const head = old.outermost && fresh.key.startsWith(old.key);
  const tail = fresh.outermost && old.key.endsWith(fresh.key);
  const same = old.key === fresh.key;
  const shift = shiftBetween(old, fresh, same ? 'whole' : head ? 'head' : tail ? 'tail' : 'whole');
  if (shift > MAX_SHIFT * timeError || old.key === '' || fresh.key === '') {
    return { kind: 'same', cost: Number.POSITIVE_INFINITY };
  }
  const cost = (shift / timeError) ** 2;
  if (same) return { kind: 'same', cost: cost + SAME };
  if (head) return { kind: 'cut-in-old', cost: cost + CUT };
  if (tail) return { kind: 'same', cost: cost + CUT };
  if (old.cut) return { kind: 'cut-in-old', cost: cost + MISHEARD_CUT };
  return { kind: 'misheard', cost: cost + (fresh.cut ? MISHEARD_CUT : MISHEARD) };
}

/** Compares the ends that both heard. */
function shiftBetween(old: Heard, fresh: Heard, common: 'whole' | 'head' | 'tail'): number {
  const start = fresh.word.startSample - old.word.startSample;
  const end = fresh.word.endSample - old.word.endSample;
  if (common === 'head' || (old.cut && !fresh.cut)) return Math.abs(start);
  if (common === 'tail' || (fresh.cut && !old.cut)) return Math.abs(end);
  return Math.abs(start + end) / 2;
}

/** All of the cost for a word well inside the overlap, nothing for one well outside or for mere punctuation. */
function missing(key: string, depthSamples: number, edge: number): number {
  if (key === '') return 0;
  return MISSING * Math.min(1, Math.max(0, (depthSamples + edge) / (2 * edge)));
}
