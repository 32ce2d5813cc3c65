import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '@voice-fleet/testkit/redis';
import { stopChildren } from './child.ts';
import { splitCores } from './cores.ts';
import { describeMachine } from './machine.ts';
import { type Bench, type Measurement, measure } from './measure.ts';
import { HELP, readOptions, type TargetName } from './options.ts';
import { type Report, render } from './report.ts';
import { cpuOf, median, type Round, summarise } from './summary.ts';
import { which } from './which.ts';

/** The direct way is measured for its latency only. */
const DIRECT_SECONDS = 5;
const STOPPED = 130;

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  if (process.platform !== 'linux') throw new Error('CPU time is read from /proc: use Linux.');

  const cores = splitCores();
  const stopped = new Promise<undefined>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.on(signal, () => resolve(undefined));
  });
  const folder = await mkdtemp(join(tmpdir(), 'vf-bench-'));
  const starting = startRedis();
  try {
    const redis = await starting;
    const bench = { ...options, redisUrl: redis.url, targetCore: cores?.target, folder };
    const machine = describeMachine(cores, options.only.filter(isInstalled));
    const report = await Promise.race([run(bench, machine), stopped]);
    if (report === undefined) return STOPPED;
    console.log(options.json ? JSON.stringify(report) : render(report));
    return 0;
  } finally {
    await stopChildren();
    await starting.then((redis) => redis.stop()).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Round by round, each target once: A B C D, A B C D, … */
async function run(bench: Bench, machine: Report['machine']): Promise<Report> {
  const installed = bench.only.filter(isInstalled);
  const rounds: Round[] = [];
  for (let index = 1; index <= bench.runs; index += 1) {
    const label = `round ${index}/${bench.runs}`;
    const direct = await measure(
      'direct',
      { ...bench, seconds: Math.min(bench.seconds, DIRECT_SECONDS) },
      `${index}-direct`,
    );
    say(`${label}  direct    ${latency(direct)}`);
    const targets = new Map<TargetName, Measurement>();
    for (const name of installed) {
      const measured = await measure(name, bench, `${index}-${name}`);
      targets.set(name, measured);
      const cpu = cpuOf(measured).toFixed(3);
      say(`${label}  ${name.padEnd(8)}  ${latency(measured)}, ${cpu} CPU-s per 1000 session-s`);
    }
    rounds.push({ direct, targets });
  }
  const { sessions, seconds, runs } = bench;
  return {
    machine,
    options: { sessions, seconds, runs },
    directP50Ms: median(rounds.map(({ direct }) => direct.oneWayP50Ms)),
    directP99Ms: median(rounds.map(({ direct }) => direct.oneWayP99Ms)),
    targets: installed.map((name) => summarise(name, rounds)),
    skipped: bench.only.filter((name) => !isInstalled(name)),
  };
}

function isInstalled(name: TargetName): boolean {
  return name === 'ws' || name === 'gateway' || which(name) !== undefined;
}

function latency({ oneWayP50Ms, oneWayP99Ms }: Measurement): string {
  return `one way P50 ${oneWayP50Ms.toFixed(2)} P99 ${oneWayP99Ms.toFixed(2)} ms`;
}

/** Progress; stdout is for the result. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    say(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);
