import { StringDecoder } from 'node:string_decoder';

/** Longer lines are cut: a child that prints no end of line must not fill our memory. */
const MAX_LINE_CHARS = 16_384;
const CUT = '… [cut]';

/**
 * Calls `onLine` for each line a stream carries, without secrets and of bounded length. `finish` gives the last line that
 * has no end.
 */
export function readLines(stream, { redact, longest }, onLine) {
  // A secret may lie across the place of the cut: so much is read more, and left out, as to know it whole.
  const enough = MAX_LINE_CHARS + longest;
  const decoder = new StringDecoder('utf8');
  let open = '';
  const give = (line) => {
    const clean = redact(line.endsWith('\r') ? line.slice(0, -1) : line);
    onLine(clean.length > MAX_LINE_CHARS ? clean.slice(0, MAX_LINE_CHARS) + CUT : clean);
  };
  const add = (text) => {
    const lines = (open + text).split('\n');
    // Of a line without end only its beginning will be shown; the rest need not be kept.
    open = lines.pop().slice(0, enough);
    for (const line of lines) give(line.slice(0, enough));
  };
  stream.on('data', (data) => add(decoder.write(data)));
  return {
    finish() {
      add(decoder.end());
      if (open !== '') give(open);
      open = '';
    },
  };
}
