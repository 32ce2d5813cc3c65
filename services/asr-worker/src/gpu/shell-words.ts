/**
 * Splits as a POSIX shell would: blanks separate, quotes and backslashes keep. Nothing is expanded and no character starts
 * a command. Throws when a quote is not closed.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    if (char === "'" || char === '"') {
      const { value, end } = quoted(text, at);
      word = (word ?? '') + value;
      at = end;
    } else if (char === '\\') {
      at += 1;
      if (at === text.length) throw new Error('ends with a backslash');
      word = (word ?? '') + text.charAt(at);
    } else {
      word = (word ?? '') + char;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function quoted(text: string, from: number): { value: string; end: number } {
  const quote = text.charAt(from);
  let value = '';
  for (let at = from + 1; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === quote) return { value, end: at };
    if (char === '\\' && quote === '"' && '"\\$`'.includes(text.charAt(at + 1) || ' ')) {
      at += 1;
      value += text.charAt(at);
    } else {
      value += char;
    }
  }
  throw new Error(`has a ${quote} that is not closed`);
}

/** The word as a shell reads it back. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
