import type { LatencySummary } from '../load/latencies.ts';
import type { LoadTestResult } from '../load/load-test.ts';
import type { Scenario } from '../load/scenario.ts';
import type { LoadVerdict } from '../load/thresholds.ts';
import { list, ms, type Row, s } from './report.ts';

const LABEL = 20;
const CELL = 11;

export interface LoadOutcomeOf {
  readonly scenario: Scenario;
  readonly server: string;
  readonly result: LoadTestResult;
  readonly verdicts: readonly LoadVerdict[];
  /** By what it was ended early. */
  readonly stoppedBy: 'SIGTERM' | 'interrupt' | undefined;
  readonly ok: boolean;
}

/** The line of `--json`. Its form changes only with its `schema`. */
export function loadJson(outcome: LoadOutcomeOf): object {
  const { scenario, server, verdicts, stoppedBy, ok } = outcome;
  const { startedAtMs, phases, latency, resumes, words, ...figures } = outcome.result;
  return {
    schema: 'voice-fleet/loadtest/1',
    ok,
    scenario: scenario.name,
    server,
    startedAt: new Date(startedAtMs).toISOString(),
    stoppedBy: stoppedBy ?? null,
    ...figures,
    latency: withNulls(latency),
    resumes: withNulls(resumes),
    words: words.map(withNulls),
    phases: phases.map((phase) => ({ ...phase, latency: withNulls(phase.latency) })),
    thresholds: verdicts.map(withNulls),
  };
}

/** What was not measured is null, and not absent. */
function withNulls(figures: object): object {
  return Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, value ?? null]));
}

export function loadText(outcome: LoadOutcomeOf): string {
  const { result, verdicts, stoppedBy, ok } = outcome;
  const { sessions, latency, generator, phases } = result;
  const end = stoppedBy ? [['Ended early', `by ${stoppedBy}`] as const] : [];
  const rows: Row[] = [
    ['Sessions', `${sessions.begun} begun, at most ${result.peakSessions} at a time`],
    ['Completed', String(sessions.completed)],
    ['Refused', `${sessions.refused}${codes(result.refusals)}`],
    ['Failed', `${sessions.failed}${codes(result.errors)}`],
    ...(sessions.stopped > 0 ? [['Stopped', String(sessions.stopped)] as const] : []),
    ...(sessions.skipped > 0 ? [['Skipped', String(sessions.skipped)] as const] : []),
    ['Utterances', `${result.utterances}, ${s(result.audioS)} of audio`],
    ...(result.droppedS > 0 ? [['Dropped audio', s(result.droppedS)] as const] : []),
    ...(result.resumes.count > 0 ? [['Resumes', String(result.resumes.count)] as const] : []),
    ['Elapsed', s(result.elapsedS)],
    ...end,
  ];
  const generatorRow: Row = [
    'Generator',
    `event loop ${ms(generator.eventLoopLagMs.p99)} late, frames ${ms(generator.frameLateP99Ms)} (p99)`,
  ];
  const table = [
    line('', ['p50', 'p90', 'p95', 'p99', 'max']),
    latencyLine('Admission', latency.admissionMs),
    latencyLine('First partial', latency.firstPartialMs),
    latencyLine('Final', latency.finalMs),
    latencyLine('Pause at a resume', result.resumes.pausesMs),
  ].join('');
  const perPhase = [
    line('phase', ['begun', 'completed', 'refused', 'failed', 'final p95']),
    ...phases.map((phase) => {
      const { begun, completed, refused, failed } = phase.sessions;
      const counts = [begun, completed, refused, failed].map(String);
      return line(phase.name, [...counts, ms(phase.latency.finalMs?.p95)]);
    }),
  ].join('');
  const judged = verdicts.map(
    ({ name, measured, max, pass }) =>
      `${pass ? 'pass' : 'FAIL'}  ${name.padEnd(24)}at most ${String(max).padEnd(8)}${figure(measured)}\n`,
  );
  return [
    `\n${list(rows)}${list([generatorRow])}`,
    table,
    perPhase,
    wordLines(result),
    judged.join(''),
    `${ok ? 'PASSED' : 'FAILED'}\n`,
  ].join('\n');
}

function wordLines({ words }: LoadTestResult): string {
  return words
    .map(({ recording, transcripts, distinct, deviating, lostWords, wordErrorRate }) => {
      const rate = wordErrorRate === undefined ? '' : `, word error rate ${percent(wordErrorRate)}`;
      return `${recording}: ${transcripts} transcripts, ${distinct} distinct, ${deviating} deviate, ${lostWords} words lost${rate}\n`;
    })
    .join('');
}

function latencyLine(label: string, summary: LatencySummary | undefined): string {
  if (!summary) return '';
  const { p50, p90, p95, p99, max } = summary;
  return line(label, [p50, p90, p95, p99, max].map(ms));
}

function line(label: string, cells: readonly string[]): string {
  return `${label.padEnd(LABEL)}${cells.map((cell) => cell.padStart(CELL)).join('')}\n`;
}

function codes(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([code, count]) => `${count} ${code}`);
  return parts.length > 0 ? ` (${parts.join(', ')})` : '';
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

function figure(value: number | undefined): string {
  return value === undefined ? 'not measured' : String(Math.round(value * 1000) / 1000);
}
