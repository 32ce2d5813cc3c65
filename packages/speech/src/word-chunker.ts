import { splitWord } from './words.ts';

const DEFAULT_SIZE = 4;
const DEFAULT_TIMEOUT_MS = 200;
const CLAUSE_END = /[.?!,;:。！？，、][\p{Pe}\p{Pf}"'*_]*$/u;
/** Of scripts with spaces; those without are cut anywhere. */
const WITHIN_WORD = /^[\x21-\x7e]+$/u;
const ENDS_IN_WORD = /[\x21-\x7e]$/u;
const CONJUNCTION = /^\s*(?:and|but|so)$/iu;

/**
 * Cuts a reply that comes in tokens into chunks of `size` words; from size 3 on one word fewer or more where a clause ends or an
 * "and", "but" or "so" follows. Chunks keep their white space: joined they are the text, to the letter.
 *
 * The last word that came is always held back, as more letters may follow it, and as it may be the last of the reply. So when
 * there was any text `flush` has a chunk, which is the final one; and no chunk of `push` or `due` ever is.
 */
export class WordChunker {
  readonly #size: number;
  readonly #timeoutMs: number;
  #pending = '';
  /** Those in what waits. */
  #words: readonly string[] = [];
  #lastMs = 0;
  /** What came last ends within a word. */
  #amidWord = false;

  constructor(options: { readonly size?: number; readonly timeoutMs?: number } = {}) {
    this.#size = options.size ?? DEFAULT_SIZE;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /** The chunks that are whole with this token. */
  push(text: string, nowMs: number): string[] {
    const goesOn = this.#amidWord && WITHIN_WORD.test(text);
    this.#pending += text;
    this.#lastMs = nowMs;
    this.#amidWord = ENDS_IN_WORD.test(text);
    // A word that grows makes none whole. Looking at all of it each time would take time that grows with its square.
    if (goesOn) return [];
    // White space ends no word that was not one already, and models that have lost their way send nothing else.
    if (text.trim() === '') return [];
    const words = wordsOf(this.#pending);
    const chunks: string[] = [];
    let at = 0;
    for (let count = this.#cut(words, at); count > 0; count = this.#cut(words, at)) {
      chunks.push(words.slice(at, at + count).join(''));
      at += count;
    }
    this.#words = words.slice(at);
    this.#pending = this.#pending.slice(chunks.reduce((sum, { length }) => sum + length, 0));
    return chunks;
  }

  /** When `due` would give a chunk if no token comes until then; undefined when none waits. */
  get deadlineMs(): number | undefined {
    return this.#words.length < 2 ? undefined : this.#lastMs + this.#timeoutMs;
  }

  /** All words that wait but the last, if no token came for `timeoutMs`. */
  due(nowMs: number): string | undefined {
    const deadlineMs = this.deadlineMs;
    if (deadlineMs === undefined || nowMs < deadlineMs) return undefined;
    const chunk = this.#words.slice(0, -1).join('');
    this.#words = this.#words.slice(-1);
    this.#pending = this.#pending.slice(chunk.length);
    return chunk;
  }

  /** The final chunk, at the end of the reply; undefined if there was no word at all. */
  flush(): string | undefined {
    const rest = this.#pending;
    this.#pending = '';
    this.#words = [];
    this.#amidWord = false;
    return rest.trim() === '' ? undefined : rest;
  }

  /** How many words from `at` on make a chunk; 0 while that is not known. */
  #cut(words: readonly string[], at: number): number {
    const slack = this.#size < 3 ? 0 : 1;
    const whole = words.length - at - 1;
    for (let count = this.#size - slack; count <= this.#size + slack; count += 1) {
      if (whole < count) return 0;
      const nextIsWhole = whole > count;
      if (CLAUSE_END.test(words[at + count - 1] ?? '')) return count;
      if (nextIsWhole && CONJUNCTION.test(words[at + count] ?? '')) return count;
    }
    return this.#size;
  }
}

/** Each with the white space before it; scripts without spaces go by their characters. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  let from = 0;
  // The white space is not looked for: in much of it that takes time that grows with its square.
  for (const { 0: found, index } of text.matchAll(/\S+/gu)) {
    const word = text.slice(from, index + found.length);
    from += word.length;
    for (const part of splitWord({ text: word, startSample: 0, endSample: 0 }))
      words.push(part.text);
  }
  return words;
}
