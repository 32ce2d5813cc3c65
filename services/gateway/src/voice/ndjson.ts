/** A stream of JSON lines that holds something else; the message says what. */
export class NdjsonError extends Error {
  override readonly name = 'NdjsonError';
}

/** What a line holds. Throws NdjsonError, in which nothing of the line is: `JSON.parse` would quote it, and errors are logged. */
export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new NdjsonError(`a line of ${line.length} characters is no JSON`);
  }
}

/** The lines of a stream of text, without their ends. A line of more than `maxChars` is an error. */
export async function* ndjsonLines(
  chunks: AsyncIterable<Uint8Array>,
  maxChars: number,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  /** Parts of a line whose end has not come. */
  let parts: string[] = [];
  let chars = 0;
  for await (const chunk of chunks) {
    let rest = decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      parts.push(rest.slice(0, end));
      rest = rest.slice(end + 1);
      const line = parts.join('');
      parts = [];
      chars = 0;
      if (line.trim() !== '') yield line;
    }
    parts.push(rest);
    chars += rest.length;
    if (chars > maxChars) throw new NdjsonError(`a line is longer than ${maxChars} characters`);
  }
  if (parts.join('').trim() !== '') throw new NdjsonError('the last line has no end');
}
