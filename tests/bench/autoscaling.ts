import { parseArgs } from 'node:util';
import {
  LOADS,
  type LoadName,
  meanOf,
  POOL,
  type PoolSettings,
  run,
  SIGNALS,
  type SignalName,
} from '../autoscaling/scenarios.ts';
import type { Result } from '../autoscaling/simulate.ts';

const HELP = `npm run bench:autoscaling -- [options]

Replays loads that become ten times as many, or a tenth, against a simulated pool of workers that the arithmetic of the
HorizontalPodAutoscaler scales: by the demand that gateways tell, and by CPU. No network, no real time. docs/operations/scaling.md

  --seeds N    runs of each load and signal, of which it prints the means (default 10; a day: 1)
  --load NAME  only this load: ${Object.keys(LOADS).join(', ')}
  --json       print one JSON object on stdout instead of the table
  --help       print this

The pool, by the names of the chart where it has one:
  --slots N            slotsPerPod (${POOL.slotsPerPod})
  --target PART        autoscaling.targetUtilization (${POOL.targetUtilization})
  --warmup S           autoscaling.warmupSeconds (${POOL.warmupSeconds})
  --min N, --max N     autoscaling.minReplicas (${POOL.minReplicas}), maxReplicas (${POOL.maxReplicas})
  --pod-ready S        from the creation of a pod until it is ready (${POOL.podReadySeconds})
  --session-length S   mean of all sessions (${POOL.sessionSeconds})
  --sessions N         at a time, at the low level of each load (${POOL.sessions})`;

/** Flag, what it sets, and the most that it may be. */
const POOL_FLAGS = [
  ['slots', 'slotsPerPod', 4_096],
  ['target', 'targetUtilization', 1],
  ['warmup', 'warmupSeconds', 3_600],
  ['min', 'minReplicas', 1_000],
  ['max', 'maxReplicas', 1_000],
  ['pod-ready', 'podReadySeconds', 3_600],
  ['session-length', 'sessionSeconds', 36_000],
  ['sessions', 'sessions', 10_000],
] as const satisfies readonly (readonly [string, keyof PoolSettings, number])[];

const COLUMNS = [
  ['load', 16],
  ['scaled by', 21],
  ['refused %', 10],
  ['worst %', 8],
  ['p95 wait s', 11],
  ['idle slots %', 13],
  ['by time %', 10],
  ['worker-min', 11],
  ['peak pods', 10],
  ['moved', 7],
  ['lost', 5],
] as const;

function main(): void {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '10' },
      load: { type: 'string', default: '' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      ...Object.fromEntries(POOL_FLAGS.map(([flag]) => [flag, { type: 'string' as const }])),
    },
  });
  if (values.help) return console.log(HELP);
  const seeds = Number(values.seeds);
  if (!Number.isInteger(seeds) || seeds < 1 || seeds > 100)
    throw new Error(`--seeds takes a whole number from 1 to 100, not "${values.seeds}".`);
  const pool = poolOf(values);
  const names = Object.keys(LOADS) as LoadName[];
  const loads = names.filter((name) => values.load === '' || name === values.load);
  if (loads.length === 0) throw new Error(`--load takes one of ${names.join(', ')}.`);
  if (!values.json)
    console.log(
      COLUMNS.map(([title, width], at) =>
        at < 2 ? title.padEnd(width) : title.padStart(width),
      ).join(' '),
    );
  const rows = loads.flatMap((load) =>
    (Object.keys(SIGNALS) as SignalName[]).map((signal) => {
      const runs = Array.from({ length: load === 'day' ? 1 : seeds }, (_, index) =>
        run(load, signal, index + 1, pool),
      );
      const result = meanOf(runs);
      const worst = Math.max(...runs.map(({ refusedShare }) => refusedShare));
      if (!values.json) console.log(line(LOADS[load].name, signal, result, worst));
      return { load, signal, runs: runs.length, worstRefusedShare: worst, ...result };
    }),
  );
  if (values.json) console.log(JSON.stringify({ pool, rows }));
}

function poolOf(values: Readonly<Record<string, unknown>>): PoolSettings {
  const given = POOL_FLAGS.flatMap(([flag, name, max]) => {
    const text = values[flag];
    if (text === undefined) return [];
    const value = Number(text);
    const whole = name === 'targetUtilization' || Number.isInteger(value);
    if (whole && value > 0 && value <= max) return [[name, value] as const];
    throw new Error(`--${flag} takes a number above 0, ${max} at the most, not "${text}".`);
  });
  return { ...POOL, ...Object.fromEntries(given) };
}

function line(load: string, signal: string, result: Result, worst: number): string {
  const percent = (share: number, digits: number): string => (100 * share).toFixed(digits);
  const cells = [
    load,
    signal,
    percent(result.refusedShare, 2),
    percent(worst, 2),
    result.waitP95S.toFixed(1),
    percent(result.idleShare, 1),
    percent(result.idleMeanShare, 1),
    result.workerMinutes.toFixed(0),
    result.peakPods.toFixed(0),
    result.moved.toFixed(0),
    result.lost.toFixed(0),
  ];
  return cells
    .map((cell, at) => {
      const width = COLUMNS[at]?.[1] ?? 0;
      return at < 2 ? cell.padEnd(width) : cell.padStart(width);
    })
    .join(' ');
}

main();
