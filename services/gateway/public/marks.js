/** The five moments of a turn, told by the server and seen by the page. */
export const MARKS = [
  { name: 't0', label: 'First audio' },
  { name: 't1', label: 'First words' },
  { name: 't2', label: 'Transcript' },
  { name: 't3', label: 'First token' },
  { name: 't4', label: 'First sound' },
];

/** When each moment of the turn first came, in ms of `now`. */
export class PageMarks {
  #now;
  #values = {};

  constructor(now) {
    this.#now = now;
  }

  /** Gives the marks of the new turn, which grow in place. */
  begin() {
    this.#values = {};
    return this.#values;
  }

  /** For the turn that began last, or for that with these marks. */
  mark(name, values = this.#values) {
    values[name] ??= this.#now();
  }
}

/** The mark that a frame of the server sets, if any. */
export function markOf(frame) {
  if (frame.type === 'partial_transcript') return 't1';
  if (frame.type === 'final_transcript' && !frame.provisional) return 't2';
  if (frame.type === 'llm_token' && !frame.done) return 't3';
  return frame.type === 'text_chunk' ? 't3' : undefined;
}

/** Both clocks beside each other, each in ms since its own t0; undefined where it did not happen. */
export function markRows(server = {}, page = {}) {
  return MARKS.map(({ name, label }) => ({
    name,
    label,
    server: since(server.t0, server[name]),
    page: since(page.t0, page[name]),
  }));
}

function since(start, at) {
  return start === undefined || at === undefined ? undefined : Math.max(0, Math.round(at - start));
}

/** The end of the axis and the marks on it: three to six round steps, none for nothing. */
export function axisOf(rows) {
  const longest = Math.max(0, ...rows.flatMap(({ server, page }) => [server ?? 0, page ?? 0]));
  if (longest === 0) return { end: 1_000, ticks: [] };
  const rough = longest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const count = Math.ceil(longest / step);
  return {
    end: count * step,
    ticks: Array.from({ length: count + 1 }, (_, index) => index * step),
  };
}

/** 850 → "850 ms", 1234 → "1.23 s". */
export function duration(ms) {
  if (ms === undefined) return '–';
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}
