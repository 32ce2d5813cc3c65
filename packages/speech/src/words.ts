/** One recognised unit. Sample numbers are positions on the session clock. */
export interface Word {
  /** Keeps its own leading white space, possibly none, so that joined texts are the transcript. */
  readonly text: string;
  readonly startSample: number;
  readonly endSample: number;
  /** Posterior in 0..1 where the engine has one. */
  readonly confidence?: number | undefined;
}

/** Scripts written without spaces between words. */
const SPACELESS =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}ー';
const HAS_SPACELESS = new RegExp(`[${SPACELESS}]`, 'u');
/** One character of such a script, or a run of anything else, each with the punctuation behind it. */
const UNIT = new RegExp(`\\s*(?:[${SPACELESS}]\\p{M}*|[^${SPACELESS}\\s]+)\\p{P}*`, 'gu');
const ENDS_SPACELESS = new RegExp(`[${SPACELESS}][\\p{M}\\p{P}]*$`, 'u');
const STARTS_SPACELESS = new RegExp(`^[${SPACELESS}]`, 'u');
const STARTS_WORD = /^["'“‘«(¿¡]*[\p{L}\p{N}\p{S}]/u;
/** The marks of Latin, Greek and Cyrillic. Those of Indic scripts are vowels, without which words look alike. */
const ACCENTS = /[\u0300-\u036f]/gu;
const NOT_WORD = /[^\p{L}\p{M}\p{N}]/gu;

/** What two engines must agree on to have heard the same word; empty for mere punctuation. */
export function normalizeWord(text: string): string {
  return text
    .normalize('NFKD')
    .replace(ACCENTS, '')
    .normalize('NFKC')
    .toLowerCase()
    .replace(NOT_WORD, '');
}

export function joinText(words: readonly Word[]): string {
  return words.map((word) => word.text).join('');
}

/** Takes a text of a spaceless script apart by characters, as such texts can only be aligned that way. */
export function splitWord(word: Word): readonly Word[] {
  if (!HAS_SPACELESS.test(word.text)) return [word];
  const texts = word.text.match(UNIT) ?? [];
  if (texts.length < 2 || texts.join('') !== word.text) return [word];
  const step = (word.endSample - word.startSample) / texts.length;
  return texts.map((text, index) => ({
    ...word,
    text,
    startSample: Math.round(word.startSample + index * step),
    endSample: Math.round(word.startSample + (index + 1) * step),
  }));
}

/** `text` as it must be written behind `before` where the two come from different segments. */
export function spaced(before: string, text: string): string {
  if (before === '' || /\s$/u.test(before) || !STARTS_WORD.test(text)) return text;
  if (ENDS_SPACELESS.test(before) || STARTS_SPACELESS.test(text)) return text;
  return ` ${text}`;
}

/** Whether `piece`, which an engine adds to `before`, is the beginning of another word. */
export function beginsWord(before: string, piece: string): boolean {
  if (/^\s/u.test(piece) || STARTS_SPACELESS.test(piece)) return true;
  return ENDS_SPACELESS.test(before) && STARTS_WORD.test(piece);
}

/** `text` with the punctuation that stands behind `other`. */
export function punctuatedLike(text: string, other: string): string {
  const mark = /\p{P}*$/u.exec(other)?.[0] ?? '';
  return text.replace(/\p{P}*$/u, '') + mark;
}
