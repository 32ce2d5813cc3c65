import { alignSeam, type Overlap, type Pair } from './seam-alignment.ts';
import { normalizeWord, punctuatedLike, spaced, type Word } from './words.ts';

/** What both segments made of the audio around a seam. */
export interface Seam {
  /** The old segment's last words, of which the first `shown` cannot be taken back. */
  readonly old: readonly Word[];
  readonly shown: number;
  readonly fresh: readonly Word[];
  readonly overlap: Overlap;
}

/**
 * The words of both segments, each once: the old ones up to the last word that both heard, the new ones after it. The
 * result starts with the shown words. Old words behind the last common one stay, for nothing else was heard there.
 */
export function mergeSeam(seam: Seam): Word[] {
  const { old, shown, fresh } = seam;
  const heardTwice = seam.overlap.toSample > seam.overlap.fromSample;
  const pair = heardTwice ? alignSeam(old, fresh, seam.overlap).at(-1) : undefined;
  const takeFresh = pair?.kind === 'cut-in-old' && pair.old >= shown;
  const kept = old.slice(0, pair && takeFresh ? pair.old : old.length);
  const added = fresh.slice(pair ? pair.fresh + (takeFresh ? 0 : 1) : 0);
  if (pair && !takeFresh) mendEnd(kept, pair, seam);

  const first = added[0];
  if (first) added[0] = { ...first, text: spaced(kept.at(-1)?.text ?? '', first.text) };
  return [...kept, ...added];
}

/** An engine ends text and word where its audio ends; that means nothing when the other one heard more. */
function mendEnd(kept: Word[], pair: Pair, { old, shown, fresh }: Seam): void {
  const oldWord = old[pair.old];
  const freshWord = fresh[pair.fresh];
  if (pair.old < shown || pair.kind !== 'same' || !oldWord || !freshWord) return;
  kept[pair.old] = {
    ...oldWord,
    text: punctuatedLike(oldWord.text, freshWord.text),
    endSample: Math.max(oldWord.endSample, freshWord.endSample),
  };
  let behind = pair.old + 1;
  while (behind < kept.length && normalizeWord(kept[behind]?.text ?? '') === '') behind += 1;
  kept.splice(pair.old + 1, behind - pair.old - 1);
}
