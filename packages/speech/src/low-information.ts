/** How much a text says, as far as its characters tell; white space does not count. */
export interface TextMeasure {
  /** Part of the characters that are letters or digits, 0 to 1. */
  readonly alphaRatio: number;
  /** Different characters, of all: 1 when none comes twice. Case does not count. */
  readonly uniqueRatio: number;
}

/** Fewer letters and it is punctuation, as engines write over noise. */
const MIN_ALPHA_RATIO = 0.25;
/** Fewer different characters and it is one of them again and again. */
const MIN_UNIQUE_RATIO = 0.05;
const LETTER = /[\p{L}\p{M}\p{N}]/u;

/** An empty text measures 0 in both. */
export function measureText(text: string): TextMeasure {
  const characters = Array.from(text.toLowerCase().replace(/\s+/gu, ''));
  const total = characters.length;
  if (total === 0) return { alphaRatio: 0, uniqueRatio: 0 };
  const letters = characters.filter((character) => LETTER.test(character)).length;
  return { alphaRatio: letters / total, uniqueRatio: new Set(characters).size / total };
}

/** Whether a text is better not shown: hardly a letter in it, or hardly two that differ. */
export function isLowInformation({ alphaRatio, uniqueRatio }: TextMeasure): boolean {
  return alphaRatio < MIN_ALPHA_RATIO || uniqueRatio < MIN_UNIQUE_RATIO;
}
