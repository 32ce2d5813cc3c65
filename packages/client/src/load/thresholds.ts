import type { LoadReport } from './load-tally.ts';

/** What a load test must keep to; absent: anything goes. */
export interface LoadLimits {
  /** Of all sessions that began. */
  readonly refusedRatio: number | undefined;
  readonly errorRatio: number | undefined;
  readonly firstPartialP95Ms: number | undefined;
  readonly finalP95Ms: number | undefined;
  /** Of all transcripts, those that differ from the most frequent one of their recording. */
  readonly deviatingRatio: number | undefined;
}

export interface LoadVerdict {
  readonly name: string;
  /** `undefined`: nothing was measured, which is no pass. */
  readonly measured: number | undefined;
  readonly max: number;
  readonly pass: boolean;
}

/** Judges a load test. Sessions that were skipped fail it in any case: the load that was asked for was not put on. */
export function judgeLoad(report: LoadReport, limits: LoadLimits): LoadVerdict[] {
  const { sessions, latency, words } = report;
  const share = (part: number, whole: number): number | undefined =>
    whole === 0 ? undefined : part / whole;
  const sum = (of: (word: (typeof words)[number]) => number): number =>
    words.reduce((total, word) => total + of(word), 0);
  const verdicts: (readonly [string, number | undefined, number | undefined])[] = [
    ['skipped sessions', sessions.skipped, 0],
    ['refused ratio', share(sessions.refused, sessions.begun), limits.refusedRatio],
    ['error ratio', share(sessions.failed, sessions.begun), limits.errorRatio],
    ['first partial p95 ms', latency.firstPartialMs?.p95, limits.firstPartialP95Ms],
    ['final p95 ms', latency.finalMs?.p95, limits.finalP95Ms],
    [
      'deviating ratio',
      share(
        sum(({ deviating }) => deviating),
        sum(({ transcripts }) => transcripts),
      ),
      limits.deviatingRatio,
    ],
  ];
  return verdicts.flatMap(([name, measured, max]) =>
    max === undefined
      ? []
      : [{ name, measured, max, pass: measured !== undefined && measured <= max }],
  );
}
