import type { Quantiles } from './pauses.ts';
import type { WordAccount } from './word-account.ts';

export interface ScenarioReport {
  /** Its letter and what it is about. */
  readonly name: string;
  readonly seed: number;
  readonly faults: readonly string[];
  readonly sessions: number;
  readonly failedSessions: number;
  readonly words: WordAccount;
  /** Around the faults, of the sessions that they met; absent where nobody spoke. */
  readonly pauses: Quantiles | undefined;
  /** What was measured beside. */
  readonly notes: Readonly<Record<string, number | string>>;
  /** Promises that were broken; empty is good. */
  readonly violations: readonly string[];
  readonly tookS: number;
}

const HEADER = [
  'scenario',
  'faults',
  'sessions',
  'failed',
  'words',
  'lost',
  'doubled',
  'reordered',
  'foreign',
  'pause P50',
  'P95',
  'max',
  's',
  '',
];

/** The table, and below it what was measured and what was broken. */
export function renderReports(reports: readonly ScenarioReport[]): string {
  const rows = [HEADER, ...reports.map(cells)];
  const widths = HEADER.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const table = rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return [...table, ...reports.flatMap(details)].join('\n');
}

function cells(report: ScenarioReport): string[] {
  const { words, pauses } = report;
  return [
    report.name,
    String(report.faults.length),
    String(report.sessions),
    String(report.failedSessions),
    String(words.sent),
    String(words.lost),
    String(words.doubled),
    String(words.reordered),
    String(words.foreign),
    pauses === undefined ? '-' : `${pauses.p50Ms.toFixed(0)} ms`,
    pauses === undefined ? '-' : `${pauses.p95Ms.toFixed(0)} ms`,
    pauses === undefined ? '-' : `${pauses.maxMs.toFixed(0)} ms`,
    report.tookS.toFixed(0),
    report.violations.length === 0 ? 'ok' : 'FAIL',
  ];
}

function details({ name, seed, faults, notes, violations }: ScenarioReport): string[] {
  const facts = Object.entries(notes).map(([what, value]) => `${what} ${shown(value)}`);
  return [
    '',
    `${name} (seed ${seed})`,
    ...(faults.length === 0 ? [] : [`  faults: ${faults.join(', ')}`]),
    ...(facts.length === 0 ? [] : [`  ${facts.join(', ')}`]),
    ...violations.map((violation) => `  BROKEN: ${violation}`),
  ];
}

function shown(value: number | string): string {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(1) : String(value);
}
