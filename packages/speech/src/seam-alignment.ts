import { msToSamples } from './pcm.ts';
import { normalizeWord, type Word } from './words.ts';

/** The audio both segments heard. */
export interface Overlap {
  readonly fromSample: number;
  readonly toSample: number;
}

/** An old and a new word made of the same audio. Of a word cut off at the end of the old segment the new one is whole. */
export interface Pair {
  readonly old: number;
  readonly fresh: number;
  readonly kind: 'same' | 'misheard' | 'cut-in-old';
}

/** Two versions of one word are never told further apart. */
const MAX_SHIFT = msToSamples(400);
/** A usual error of a word's time. */
const SHIFT = msToSamples(150);
/** How far a time may be off where it decides whether a word lay in the overlap. */
const EDGE = msToSamples(160);

// Costs, in the manner of negative log likelihoods: a word that lay in the overlap and has no counterpart, ...
const MISSING = 4;
// ... a pair of the same text (two words of a conversation are seldom the same by chance), ...
const SAME = -1;
const CUT = -0.5;
// ... and two texts for the same audio, which is likely only where one engine stream heard half a word.
const MISHEARD = 5;
const MISHEARD_CUT = 2;

/**
 * The most likely pairing of the old segment's last words with the new segment's first. Word times are too rough to
 * tell repetitions apart one by one; over the whole overlap, order, text and time together do.
 */
export function alignSeam(old: readonly Word[], fresh: readonly Word[], overlap: Overlap): Pair[] {
  const oldKeys = old.map((word) => normalizeWord(word.text));
  const freshKeys = fresh.map((word) => normalizeWord(word.text));
  const width = fresh.length + 1;
  // Cheapest way from each state (words of both read) to the end, and the pair it starts with, if any.
  const costs = new Float64Array((old.length + 1) * width);
  const pairs: (Pair | undefined)[] = [];
  const skips: ('old' | 'fresh')[] = [];

  for (let o = old.length; o >= 0; o -= 1) {
    for (let f = fresh.length; f >= 0; f -= 1) {
      const oldWord = old[o];
      const freshWord = fresh[f];
      const at = o * width + f;
      if (!oldWord && !freshWord) continue;
      let best = Number.POSITIVE_INFINITY;
      if (oldWord) {
        best = costAt(costs, at + width) + missingInFresh(oldWord, oldKeys[o], overlap);
        skips[at] = 'old';
      }
      if (freshWord) {
        const cost = costAt(costs, at + 1) + missingInOld(freshWord, freshKeys[f], overlap);
        if (cost < best) {
          best = cost;
          skips[at] = 'fresh';
        }
      }
      if (oldWord && freshWord) {
        const match = judge(
          { word: oldWord, key: oldKeys[o] ?? '', last: o === old.length - 1 },
          { word: freshWord, key: freshKeys[f] ?? '', first: f === 0 },
          overlap,
        );
        const cost = costAt(costs, at + width + 1) + match.cost;
        if (cost <= best) {
          best = cost;
          pairs[at] = { old: o, fresh: f, kind: match.kind };
        }
      }
      costs[at] = best;
    }
  }
  return walk(pairs, skips, old.length, width);
}

function walk(
  pairs: readonly (Pair | undefined)[],
  skips: readonly ('old' | 'fresh')[],
  oldLength: number,
  width: number,
): Pair[] {
  const found: Pair[] = [];
  let o = 0;
  let f = 0;
  while (o < oldLength || f < width - 1) {
    const at = o * width + f;
    const pair = pairs[at];
    if (pair) found.push(pair);
    if (pair || skips[at] === 'old') o += 1;
    if (pair || skips[at] === 'fresh') f += 1;
  }
  return found;
}

interface OldWord {
  readonly word: Word;
  readonly key: string;
  readonly last: boolean;
}

interface FreshWord {
  readonly word: Word;
  readonly key: string;
  readonly first: boolean;
}

function judge(
  old: OldWord,
  fresh: FreshWord,
  overlap: Overlap,
): { cost: number; kind: Pair['kind'] } {
  const oldCut = old.last && old.word.endSample >= overlap.toSample - EDGE;
  const freshCut = fresh.first && fresh.word.startSample <= overlap.fromSample + EDGE;
  const shift = shiftOf(old.word, fresh.word, oldCut, freshCut);
  if (shift > MAX_SHIFT || old.key === '' || fresh.key === '') {
    return { cost: Number.POSITIVE_INFINITY, kind: 'same' };
  }
  const cost = (shift / SHIFT) ** 2;
  if (old.key === fresh.key) return { cost: cost + SAME, kind: 'same' };
  if (oldCut && fresh.key.startsWith(old.key)) return { cost: cost + CUT, kind: 'cut-in-old' };
  if (freshCut && old.key.endsWith(fresh.key)) return { cost: cost + CUT, kind: 'same' };
  if (oldCut) return { cost: cost + MISHEARD_CUT, kind: 'cut-in-old' };
  return { cost: cost + (freshCut ? MISHEARD_CUT : MISHEARD), kind: 'misheard' };
}

/** Compares the ends that were not cut. */
function shiftOf(old: Word, fresh: Word, oldCut: boolean, freshCut: boolean): number {
  const start = fresh.startSample - old.startSample;
  const end = fresh.endSample - old.endSample;
  if (oldCut && !freshCut) return Math.abs(start);
  if (freshCut && !oldCut) return Math.abs(end);
  return Math.abs(start + end) / 2;
}

/** The new segment hears whatever starts in the overlap or later, ... */
function missingInFresh(word: Word, key: string | undefined, overlap: Overlap): number {
  return key ? MISSING * ramp(word.startSample - overlap.fromSample) : 0;
}

/** ... and the old one had heard whatever ends in it or earlier. */
function missingInOld(word: Word, key: string | undefined, overlap: Overlap): number {
  return key ? MISSING * ramp(overlap.toSample - word.endSample) : 0;
}

/** 0 well outside, 1 well inside. */
function ramp(depthSamples: number): number {
  return Math.min(1, Math.max(0, (depthSamples + EDGE) / (2 * EDGE)));
}

function costAt(costs: Float64Array, at: number): number {
  return costs[at] ?? 0;
}
