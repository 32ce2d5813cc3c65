import { splitWord } from './words.ts';

const DEFAULT_SIZE = 4;
const DEFAULT_TIMEOUT_MS = 200;
const CLAUSE_END = /[.?!,;:。！？，、][\p{Pe}\p{Pf}"'*_]*$/u;
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
  #lastMs = 0;

  constructor(options: { readonly size?: number; readonly timeoutMs?: number } = {}) {
    this.#size = options.size ?? DEFAULT_SIZE;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /** The chunks that are whole with this token. */
  push(text: string, nowMs: number): string[] {
    this.#pending += text;
    this.#lastMs = nowMs;
    const chunks: string[] = [];
    let words = wordsOf(this.#pending);
    for (let count = this.#cut(words); count > 0; count = this.#cut(words)) {
      chunks.push(this.#take(words, count));
      words = words.slice(count);
    }
    return chunks;
  }

  /** When `due` would give a chunk if no token comes until then; undefined when none waits. */
  get deadlineMs(): number | undefined {
    return wordsOf(this.#pending).length < 2 ? undefined : this.#lastMs + this.#timeoutMs;
  }

  /** All words that wait but the last, if no token came for `timeoutMs`. */
  due(nowMs: number): string | undefined {
    const deadlineMs = this.deadlineMs;
    if (deadlineMs === undefined || nowMs < deadlineMs) return undefined;
    const words = wordsOf(this.#pending);
    return this.#take(words, words.length - 1);
  }

  /** The final chunk, at the end of the reply; undefined if there was no word at all. */
  flush(): string | undefined {
    const rest = this.#pending;
    this.#pending = '';
    return rest.trim() === '' ? undefined : rest;
  }

  /** How many words make a chunk; 0 while that is not known. */
  #cut(words: readonly string[]): number {
    const slack = this.#size < 3 ? 0 : 1;
    const whole = words.length - 1;
    for (let count = this.#size - slack; count <= this.#size + slack; count += 1) {
      if (whole < count) return 0;
      const nextIsWhole = whole > count;
      if (CLAUSE_END.test(words[count - 1] ?? '')) return count;
      if (nextIsWhole && CONJUNCTION.test(words[count] ?? '')) return count;
    }
    return this.#size;
  }

  #take(words: readonly string[], count: number): string {
    const chunk = words.slice(0, count).join('');
    this.#pending = this.#pending.slice(chunk.length);
    return chunk;
  }
}

/** Each with the white space before it; scripts without spaces go by their characters. */
function wordsOf(text: string): string[] {
  return (text.match(/\s*\S+/gu) ?? []).flatMap((word) =>
    splitWord({ text: word, startSample: 0, endSample: 0 }).map((part) => part.text),
  );
}
