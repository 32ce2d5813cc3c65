import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { failureCode, isTurnedAway } from './outcomes.ts';
import { type Summary, summarize } from './stats.ts';
import type { SessionReport } from './transcribe.ts';
import type { YapRejected } from './yap-errors.ts';

const JITTER_STEP_MS = 20;
const JITTER_STEPS = 16;

export interface BenchOptions {
  readonly sessions: number;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly runSession: (index: number) => Promise<SessionReport>;
  readonly onProgress?: (progress: BenchProgress) => void;
  /** Stops new sessions; those that run end through their own signal. */
  readonly signal?: AbortSignal;
}

export interface BenchProgress {
  readonly running: number;
  readonly ok: number;
  readonly rejected: number;
  readonly errors: number;
}

export interface BenchOutcome {
  readonly reports: readonly SessionReport[];
  readonly rejections: readonly YapRejected[];
  readonly errors: readonly unknown[];
  readonly elapsedMs: number;
}

/** Runs sessions side by side; anything but a complete transcript is an error or a rejection. */
export async function runBench(options: BenchOptions): Promise<BenchOutcome> {
  const { sessions, concurrency, clock, signal } = options;
  const reports: SessionReport[] = [];
  const errors: unknown[] = [];
  const rejections: YapRejected[] = [];
  let running = 0;
  let next = 0;
  const tell = (): void =>
    options.onProgress?.({
      running,
      ok: reports.length,
      rejected: rejections.length,
      errors: errors.length,
    });

  const one = async (index: number): Promise<void> => {
    running += 1;
    tell();
    try {
      // Callers do not dial in the same millisecond, and a load generator should not either.
      const jitterMs = (index % JITTER_STEPS) * JITTER_STEP_MS;
      if (jitterMs > 0) await sleep(clock, jitterMs, signal);
      reports.push(await options.runSession(index));
    } catch (error) {
      if (isTurnedAway(error)) rejections.push(error);
      else if (!signal?.aborted) errors.push(error);
    } finally {
      running -= 1;
      tell();
    }
  };
  const lane = async (): Promise<void> => {
    while (next < sessions && !signal?.aborted) {
      const index = next;
      next += 1;
      await one(index);
    }
  };

  const startMs = clock.now();
  await Promise.all(Array.from({ length: Math.min(concurrency, sessions) }, lane));
  return { reports, rejections, errors, elapsedMs: clock.now() - startMs };
}

export interface BenchSummary {
  readonly n: number;
  readonly transcribed: number;
  readonly rejected: number;
  readonly errors: number;
  readonly errorKinds: Readonly<Record<string, number>>;
  readonly elapsedS: number;
  readonly audioS: number;
  /** Minutes of audio transcribed in a minute of the whole run. */
  readonly overallMinPerMin: number;
  readonly droppedS: number;
  /** How often sessions were taken up again over another connection. */
  readonly resumes: number;
  readonly pausesMs: Summary | undefined;
  readonly rows: Readonly<Record<BenchRow, Summary | undefined>>;
}

export const BENCH_ROWS = {
  wallMs: 'Wall',
  connectMs: 'Connect',
  handshakeMs: 'Handshake',
  ttfwMs: 'TTFW (text)',
  rtfFull: 'RTF full',
  rtfServer: 'RTF server',
  sendMs: 'Send duration',
  postSendToFinalMs: 'Post-send → Final',
  flushToFinalMs: 'Flush → Final',
  decodeTailMs: 'Decode tail',
  partialGapsMs: 'Partial gap',
  audioS: 'Audio',
  xRt: 'xRT',
} as const;
export type BenchRow = keyof typeof BENCH_ROWS;

export function summarizeBench(outcome: BenchOutcome, n: number): BenchSummary {
  const all = outcome.reports.map((report) => report.metrics);
  const rows = Object.fromEntries(
    Object.keys(BENCH_ROWS).map((row) => [
      row,
      summarize(all.flatMap((metrics) => metrics[row as BenchRow] ?? [])),
    ]),
  ) as Record<BenchRow, Summary | undefined>;
  const continuities = outcome.reports.flatMap(({ continuity }) => continuity ?? []);
  const audioS = all.reduce((sum, metrics) => sum + metrics.audioS, 0);
  const errorKinds: Record<string, number> = {};
  for (const error of outcome.errors) {
    const kind = failureCode(error);
    errorKinds[kind] = (errorKinds[kind] ?? 0) + 1;
  }
  return {
    n,
    transcribed: outcome.reports.length,
    rejected: outcome.rejections.length,
    errors: outcome.errors.length,
    errorKinds,
    elapsedS: outcome.elapsedMs / 1000,
    audioS,
    overallMinPerMin: outcome.elapsedMs === 0 ? 0 : (audioS * 1000) / outcome.elapsedMs,
    droppedS: outcome.reports.reduce((sum, report) => sum + report.transcript.droppedS, 0),
    resumes: continuities.reduce((sum, { resumes }) => sum + resumes, 0),
    pausesMs: summarize(continuities.flatMap(({ pausesMs }) => pausesMs)),
    rows,
  };
}
