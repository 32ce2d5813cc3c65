import { StringDecoder } from 'node:string_decoder';

const ESCAPE = '\u001b';
const BELL = '\u0007';
/** A control sequence that is longer never ends: what follows is text again. */
const MAX_SEQUENCE_CHARS = 256;

/**
 * Makes readable text of what a program prints, cut anywhere: whole UTF-8 characters, no terminal sequences, no control
 * characters other than white space, and nothing for bytes that are no text.
 */
export class PlainText {
  readonly #decoder = new StringDecoder('utf8');
  /** Inside a terminal sequence: which kind, and how long it is by now. */
  #sequence: 'escape' | 'control' | 'string' | undefined;
  #sequenceChars = 0;

  push(bytes: Buffer): string {
    let text = '';
    for (const char of this.#decoder.write(bytes)) {
      if (this.#sequence !== undefined) this.#skip(char);
      else if (char === ESCAPE) this.#enter('escape');
      else if (isReadable(char)) text += char;
    }
    return text;
  }

  #enter(sequence: 'escape' | 'control' | 'string'): void {
    this.#sequence = sequence;
    this.#sequenceChars = 0;
  }

  #skip(char: string): void {
    if (char === ESCAPE) return this.#enter('escape');
    this.#sequenceChars += 1;
    if (this.#sequenceChars > MAX_SEQUENCE_CHARS) {
      this.#sequence = undefined;
      return;
    }
    if (this.#sequence === 'escape') {
      if (char === '[') return this.#enter('control');
      // Strings for the terminal itself, such as its title.
      if (']PX^_'.includes(char)) return this.#enter('string');
      // Intermediate characters; the one behind them is the last.
      if (char < ' ' || char > '/') this.#sequence = undefined;
      return;
    }
    const isLast = this.#sequence === 'control' ? char >= '@' && char <= '~' : char === BELL;
    if (isLast) this.#sequence = undefined;
  }
}

function isReadable(char: string): boolean {
  return /\s/u.test(char) ? char !== '\ufeff' : !/[\p{Cc}\p{Cs}\p{Co}\p{Cn}\ufffd]/u.test(char);
}
