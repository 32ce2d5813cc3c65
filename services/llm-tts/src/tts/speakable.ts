const SPEAKABLE = /[\p{L}\p{N}]/u;

/** In this order: what is no speech of a reply written in Markdown, and what to say instead. */
const RULES: readonly (readonly [RegExp, string])[] = [
  [/```[\w+-]*/gu, ' '],
  [/`/gu, ''],
  [/!?\[([^\]]*)\]\((?:[^()\s]|\([^()\s]*\))*\)/gu, '$1'],
  [/<\/?[a-z][^<>]*>/giu, ' '],
  // Heads of lines: headings, quotes, bullets, rules.
  [/(^|\n)\s*(?:#{1,6}\s+|>+\s*|[-*+•]\s+|(?:[-*_]\s*){3,}(?=\n|$))+/gu, '$1'],
  // Marks of emphasis cling to a word, those of arithmetic stand alone.
  [/(?<![\p{L}\p{N}])(?:\*{1,3}|_{1,3}|~~)(?=[^\s*_])/gu, ''],
  [/(?<=[^\s*_])(?:\*{1,3}|_{1,3}|~~)(?![\p{L}\p{N}])/gu, ''],
  [/\*{2,}/gu, ''],
  [/\s*\|\s*(?:[-:|\s]{3,})?/gu, ' '],
  // Pictures, with what joins and colours them.
  [
    /\p{Extended_Pictographic}|[\u{1f1e6}-\u{1f1ff}\u{1f3fb}-\u{1f3ff}]|\u200d|\ufe0e|\ufe0f|\u20e3/gu,
    ' ',
  ],
  // Control characters end arguments and lines of those who speak.
  [/[\p{Cc}\s]+/gu, ' '],
];

/** What is to be said of a phrase: its words without Markdown and pictures; empty if it has none. */
export function speakable(text: string): string {
  const said = RULES.reduce((rest, [pattern, by]) => rest.replace(pattern, by), text).trim();
  return SPEAKABLE.test(said) ? said : '';
}
