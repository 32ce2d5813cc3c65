import { percentile } from '@voice-fleet/client/stats';
import type { Speaker, UtteranceRecord } from './speaker.ts';

export interface Quantiles {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  readonly count: number;
}

/** Absent for no values: nothing was measured then. */
export function quantiles(valuesMs: readonly number[]): Quantiles | undefined {
  const p50Ms = percentile(valuesMs, 0.5);
  const p95Ms = percentile(valuesMs, 0.95);
  if (p50Ms === undefined || p95Ms === undefined) return undefined;
  return { p50Ms, p95Ms, maxMs: Math.max(...valuesMs), count: valuesMs.length };
}

/**
 * The longest time without a new word, of those that touch the time span, while the speaker spoke. Absent where nobody
 * spoke in it.
 */
export function longestPauseMs(
  utterances: readonly UtteranceRecord[],
  fromMs: number,
  toMs: number,
): number | undefined {
  const pauses = utterances.flatMap(({ startedMs, heard, finishedMs }) => {
    const endMs = finishedMs ?? performance.now();
    // After the end only the rest is owed: that is no pause in flowing speech.
    const marks = [startedMs, ...heard.map(({ atMs }) => atMs).filter((at) => at < endMs), endMs];
    return marks.slice(1).flatMap((at, index) => {
      const before = marks[index] ?? startedMs;
      return at >= fromMs && before <= toMs ? [at - before] : [];
    });
  });
  return pauses.length === 0 ? undefined : Math.max(...pauses);
}

/** The pause of each speaker around a fault. */
export function pausesAround(
  speakers: readonly Speaker[],
  faultMs: number,
  withinMs: number,
): number[] {
  return speakers.flatMap(
    ({ utterances }) => longestPauseMs(utterances, faultMs, faultMs + withinMs) ?? [],
  );
}

/** From the last sample of each word to its text, for words that were said from `fromMs` on. In the order said. */
export function wordDelays(
  utterances: readonly UtteranceRecord[],
  fromMs: number,
): { readonly saidMs: number; readonly delayMs: number }[] {
  return utterances.flatMap(({ said, heard }) => {
    const heardMs = new Map<string, number>();
    for (const { text, atMs } of heard) {
      for (const word of text.trim().split(/\s+/)) if (!heardMs.has(word)) heardMs.set(word, atMs);
    }
    return said.flatMap(({ word, atMs }) => {
      const at = heardMs.get(word);
      return atMs < fromMs || at === undefined ? [] : [{ saidMs: atMs, delayMs: at - atMs }];
    });
  });
}
