import {
  BENCH_ROWS,
  type BenchOutcome,
  type BenchProgress,
  type BenchRow,
  type BenchSummary,
  runBench,
  summarizeBench,
} from '../bench.ts';
import { turned } from '../server-url.ts';
import { runSession } from '../transcribe.ts';
import { explain } from './explain.ts';
import {
  AUDIO,
  AUDIO_HELP,
  CONNECTION_HELP,
  type Command,
  connectOptions,
  loadRecording,
  parseFlags,
  positive,
  positiveInteger,
  printableUrls,
  SURVIVAL,
  SURVIVAL_HELP,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { showProgress } from './progress.ts';
import { list, ms, printJson, ratio, s, summaryTable } from './report.ts';

export const bench: Command = {
  summary: 'run many sessions side by side, print avg/p50/p95',
  help: `npm run client -- bench [flags]

Runs sessions side by side, each speaking the recording in real time. An error frame, a
timeout, a closed connection or a wrong key is an error; a session turned away before any
work, as the fleet is full or admits nobody now, is a rejection. Exit code 0 only when there
is neither, else 1.

  --n N                sessions in all (default 20)
  --concurrency N      sessions at a time (default 5)

${AUDIO_HELP}

${SURVIVAL_HELP}

${CONNECTION_HELP}`,
  run: async (args, io) => {
    const flags = parseFlags(args, {
      ...AUDIO,
      ...SURVIVAL,
      n: { type: 'string', default: '20' },
      concurrency: { type: 'string', default: '5' },
    });
    const connect = connectOptions(flags, io);
    const sessions = positiveInteger(flags.n, 'n');
    const concurrency = positiveInteger(flags.concurrency, 'concurrency');
    const speed = positive(flags.speed, 'speed');
    const server = printableUrls(connect.urls);
    return await guarded({ server, json: flags.json, debug: flags.debug }, io, async () => {
      const { pcm, path } = await loadRecording(flags.file, io);
      io.stderr(`${sessions} sessions, ${concurrency} at a time, of ${path} to ${server}\n`);
      const timeout = io.sessionTimeoutMs === undefined ? {} : { timeoutMs: io.sessionTimeoutMs };
      let latest: BenchProgress = { running: 0, ok: 0, rejected: 0, errors: 0 };
      const stopProgress = showProgress(io, () => progressLine(latest, sessions));
      const outcome = await runBench({
        sessions,
        concurrency,
        clock: io.clock,
        signal: io.signal,
        runSession: (index) =>
          runSession(pcm, { ...connect, ...timeout, speed, urls: turned(connect.urls, index) }),
        onProgress: (progress) => {
          latest = progress;
        },
      }).finally(stopProgress);
      const summary = summarizeBench(outcome, sessions);
      for (const line of complaints(outcome, server)) io.stderr(`${line}\n`);
      const clean = summary.errors === 0 && summary.rejected === 0 && !io.signal.aborted;
      if (flags.json) printJson(io.stdout, { ok: clean, server, file: path, ...summary });
      else io.stdout(text(summary));
      if (io.signal.aborted) {
        io.stderr('Interrupted.\n');
        return EXIT.interrupted;
      }
      return clean ? EXIT.ok : EXIT.failed;
    });
  },
};

const FORMATS: Readonly<Partial<Record<BenchRow, (value: number) => string>>> = {
  rtfFull: ratio,
  rtfServer: ratio,
  xRt: ratio,
  audioS: s,
};

function text(summary: BenchSummary): string {
  const rows = Object.entries(BENCH_ROWS).map(([row, label]) => {
    const key = row as BenchRow;
    return [label, summary.rows[key], FORMATS[key] ?? ms] as const;
  });
  const table = [...rows, ['Pause at a resume', summary.pausesMs, ms] as const];
  const totals = list([
    ['Sessions', `${summary.n} asked, ${summary.transcribed} transcribed`],
    ['Rejected', String(summary.rejected)],
    ['Errors', String(summary.errors)],
    ['Total elapsed', s(summary.elapsedS)],
    ['Total audio', s(summary.audioS)],
    ['Overall', `${summary.overallMinPerMin.toFixed(2)} min of audio a minute`],
    ...(summary.droppedS > 0 ? [['Dropped audio', s(summary.droppedS)] as const] : []),
    ...(summary.resumes > 0 ? [['Resumes', String(summary.resumes)] as const] : []),
  ]);
  return `\n${summary.transcribed > 0 ? `${summaryTable(table)}\n` : ''}${totals}`;
}

/** One line for each sort of rejection and error, with what to do about it. */
function complaints(outcome: BenchOutcome, server: string): string[] {
  const counts = new Map<string, number>();
  for (const error of [...outcome.rejections, ...outcome.errors]) {
    const sentence = explain(error, server);
    counts.set(sentence, (counts.get(sentence) ?? 0) + 1);
  }
  return Array.from(counts, ([sentence, count]) => `${count} × ${sentence}`);
}

function progressLine({ running, ok, rejected, errors }: BenchProgress, sessions: number): string {
  return (
    `${ok + rejected + errors}/${sessions} done: ${ok} ok, ${rejected} rejected, ` +
    `${errors} errors, ${running} running`
  );
}
