/** So many tries in a row, then the person is asked. */
export const MAX_TRIES = 5;
const FIRST_MS = 1_000;
const CAP_MS = 30_000;

/** How long to wait before a try, the first being 0; undefined when there were enough. */
export function delayBeforeTry(number) {
  return number < MAX_TRIES ? Math.min(CAP_MS, FIRST_MS * 2 ** number) : undefined;
}

/** What the close of a socket asks for: nothing, another connection now, or the person. */
export function afterClose({ code, fatal }) {
  // Ended as agreed, or asleep: the next word opens another one.
  if (code === 1000 || code === 4000) return 'rest';
  if (code === 1008 || (fatal !== undefined && !LATER.has(fatal))) return 'give-up';
  return 'retry';
}

/** Fatal errors that pass by themselves. */
const LATER = new Set(['AT_CAPACITY', 'INTERNAL']);
