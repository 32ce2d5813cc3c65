import type { Machine } from './machine.ts';
import type { BenchOptions, TargetName } from './options.ts';
import type { TargetSummary } from './summary.ts';

export interface Report {
  readonly machine: Machine;
  readonly options: Pick<BenchOptions, 'sessions' | 'seconds' | 'runs'>;
  readonly directP50Ms: number;
  readonly directP99Ms: number;
  readonly targets: readonly TargetSummary[];
  readonly skipped: readonly TargetName[];
}

const LABELS: Record<TargetName, string> = {
  ws: 'bare ws relay',
  nginx: 'nginx',
  haproxy: 'haproxy',
  gateway: 'gateway',
};
const HEADER = [
  'target',
  'CPU-s/1000 s',
  'user',
  'µs/frame',
  '× nginx',
  '× haproxy',
  '× ws',
  '+P50 ms',
  '+P99 ms',
  'KB/session',
];
/** Below this part of the frames or messages a target was overloaded. */
const MIN_DELIVERED = 0.98;
/** A load that is later than one frame sends bursts that no microphone would. */
const MAX_LOAD_LAG_MS = 80;

export function render(report: Report): string {
  const { machine, options, targets, skipped } = report;
  const lines = [
    '',
    ...table([HEADER, ...targets.map(row)]),
    '',
    `${options.sessions} sessions, medians of ${options.runs} × ${options.seconds} s. CPU is of the target's process, in 1000 session seconds; µs/frame is the`,
    'same for each 80 ms frame, with everything else that happens meanwhile (12 words a second, and the acks of the link).',
    `+P50 and +P99 are added to a direct frame's ${report.directP50Ms.toFixed(2)} and ${report.directP99Ms.toFixed(2)} ms. KB/session includes what the runtime's heap grew.`,
    'Absolute values drift from machine to machine and hour to hour; the ratios, each formed within one round, hold.',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}${machine.proxies.map((proxy) => `, ${proxy}`).join('')}; ${machine.pinning}; load average ${machine.loadAverage.toFixed(1)} before.`,
    ...skipped.map((name) => `${LABELS[name]} was left out: it is not installed.`),
    ...targets.flatMap(warnings),
  ];
  return lines.join('\n');
}

function row(summary: TargetSummary): string[] {
  return [
    LABELS[summary.name],
    summary.cpuPer1000.toFixed(3),
    summary.userPer1000.toFixed(3),
    summary.cpuUsPerFrame.toFixed(1),
    ratio(summary.toNginx),
    ratio(summary.toHaproxy),
    ratio(summary.toWs),
    summary.addedP50Ms.toFixed(2),
    summary.addedP99Ms.toFixed(2),
    summary.kbPerSession.toFixed(0),
  ];
}

function ratio(value: number | null): string {
  return value === null ? '-' : value.toFixed(2);
}

function warnings({ name, delivered, worstLoadLagMs }: TargetSummary): string[] {
  const label = LABELS[name];
  const found: string[] = [];
  if (delivered < MIN_DELIVERED)
    found.push(
      `Careful: only ${(delivered * 100).toFixed(1)} % of the traffic got through ${label}.`,
    );
  if (worstLoadLagMs > MAX_LOAD_LAG_MS)
    found.push(
      `Careful: against ${label} the load fell ${worstLoadLagMs.toFixed(0)} ms behind its schedule; use fewer sessions or a quieter machine before trusting its P99.`,
    );
  return found;
}

/** First column to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADER.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  return rows.map((cells) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  '),
  );
}
