const DEFAULT_MAX_LENGTH = 60;
const DEFAULT_GAP_MS = 700;

const CLOSERS = '"\'”’»)\\]}*_`~」』）';
/** Marks that end a sentence once white space follows, and those of scripts that put none there. */
const ENDS = '.?!…؟।';
const SPACELESS_ENDS = '。！？';
const SENTENCE_END = new RegExp(
  `[${ENDS}]+[${CLOSERS}]*(?=\\s)|[${SPACELESS_ENDS}]+[${CLOSERS}]*(?=[^${CLOSERS}${SPACELESS_ENDS}])`,
  'gu',
);
/** A dot behind these ends nothing: "Dr. No", "e.g. this", "J. Bach", and "1. " at the head of a list. */
const ABBREVIATION =
  /(?:^|[\s("'])(?:mr|mrs|ms|dr|prof|st|vs|approx|(?:\p{L}\.)+\p{L}|(?!i\.)\p{L})\.$|^\s*\d+\.$/iu;
const CLAUSE_END = /[,;:–—)]$/u;
const PART_OF_CHARACTER = /^(?:\p{M}|\u200d|[\udc00-\udfff])/u;

/**
 * Cuts a reply that comes in tokens into phrases to be spoken: at . ? ! when white space follows, so that "3.5" stays whole; before
 * `maxLength` characters would be passed, between words unless one word alone is longer; and when no token came for `gapMs`, be it
 * in the middle of a word. Phrases are trimmed; joined they are the text but for white space.
 */
export class PhraseSplitter {
  readonly #maxLength: number;
  readonly #gapMs: number;
  #pending = '';
  #lastMs = 0;

  constructor(options: { readonly maxLength?: number; readonly gapMs?: number } = {}) {
    this.#maxLength = options.maxLength ?? DEFAULT_MAX_LENGTH;
    this.#gapMs = options.gapMs ?? DEFAULT_GAP_MS;
  }

  /** The phrases that end with, or before, this token. */
  push(text: string, nowMs: number): string[] {
    const late = this.due(nowMs);
    const phrases = late === undefined ? [] : [late];
    this.#append(text);
    this.#lastMs = nowMs;
    for (let end = this.#end(); end > 0; end = this.#end()) {
      const phrase = this.#pending.slice(0, end).trim();
      this.#pending = this.#pending.slice(end).trimStart();
      phrases.push(phrase);
    }
    return phrases;
  }

  /** When `due` would give a phrase if no token comes until then; undefined when nothing waits. */
  get deadlineMs(): number | undefined {
    return this.#pending.trim() === '' ? undefined : this.#lastMs + this.#gapMs;
  }

  /** What waits, if no token came for the gap. */
  due(nowMs: number): string | undefined {
    const deadlineMs = this.deadlineMs;
    return deadlineMs === undefined || nowMs < deadlineMs ? undefined : this.flush();
  }

  /** What is left, at the end of the reply. */
  flush(): string | undefined {
    const rest = this.#pending.trim();
    this.#pending = '';
    return rest === '' ? undefined : rest;
  }

  /** White space behind white space is only kept where it begins a line: models that have lost their way send nothing else. */
  #append(text: string): void {
    if (!/\s$/u.test(this.#pending.slice(-1)) || text.trim() !== '') this.#pending += text;
    else if (text.includes('\n') && !this.#pending.endsWith('\n')) this.#pending += '\n';
  }

  /** Where the first phrase of what waits ends; 0 while that is not known. */
  #end(): number {
    this.#pending = this.#pending.trimStart();
    const window = this.#pending.slice(0, this.#maxLength + 1);
    for (const match of window.matchAll(SENTENCE_END)) {
      const end = match.index + match[0].length;
      if (!ABBREVIATION.test(window.slice(0, end))) return end;
    }
    return this.#pending.trimEnd().length > this.#maxLength ? this.#cut(window) : 0;
  }

  /** The last space that fits, or one behind a comma in the second half, where a speaker would rather breathe. */
  #cut(window: string): number {
    let space = 0;
    let clause = 0;
    for (const match of window.matchAll(/\s/gu)) {
      space = match.index;
      if (CLAUSE_END.test(window.slice(0, space))) clause = space;
    }
    if (clause >= this.#maxLength / 2) return clause;
    if (space > 0) return space;
    let end = this.#maxLength;
    while (end > 2 && PART_OF_CHARACTER.test(window.slice(end))) end -= 1;
    return end;
  }
}
