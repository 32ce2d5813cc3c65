import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '@voice-fleet/testkit/ports';
import { Child, FROM_SOURCE, stopChildren } from './child.ts';
import { splitCores } from './cores.ts';
import type { FakeVllmLoadJob } from './fake-vllm-load.ts';
import { type FakeVllmBenchOptions, HELP, readOptions } from './fake-vllm-options.ts';
import { describeMachine, type Machine } from './machine.ts';
import { cpuSeconds, rssKb } from './process-usage.ts';

const WARM_UP_MS = 3_000;
const STOPPED = 130;
const DELAY_MS = 480;
const DELTAS_PER_SECOND = 12.5;
/** Room for every session at the age of an hour: admission is not what is measured here. */
const KV_POOL_MIB = 10 ** 8;
const POLL_MS = 50;

interface Result {
  readonly machine: Machine;
  readonly options: FakeVllmBenchOptions;
  /** Of one core. */
  readonly cpuShare: number;
  readonly cpuUsPerDelta: number;
  /** From the append that completed a delta's audio to the delta, both ways over loopback included. */
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  /** Of the deltas due in the window, the part that came. */
  readonly delivered: number;
  /** How late the load process sent its latest append. */
  readonly loadLagMs: number;
  readonly kbPerSession: number;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  if (process.platform !== 'linux') throw new Error('CPU time is read from /proc: use Linux.');
  const cores = splitCores();
  const machine = describeMachine(cores, []);
  const stopped = new Promise<undefined>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.on(signal, () => resolve(undefined));
  });
  try {
    const measured = await Promise.race([measure(options, cores?.target), stopped]);
    if (measured === undefined) return STOPPED;
    const result = { machine, options, ...measured };
    console.log(options.json ? JSON.stringify(result) : render(result));
    return 0;
  } finally {
    await stopChildren();
  }
}

async function measure(
  { sessions, seconds, frameMs, stepMs, profileDir }: FakeVllmBenchOptions,
  core: number | undefined,
): Promise<Omit<Result, 'machine' | 'options'>> {
  const port = await freePort();
  const flags = { port, 'step-ms': stepMs, 'delay-ms': DELAY_MS, 'kv-pool-mib': KV_POOL_MIB };
  const fake = new Child({
    name: 'fake-vllm',
    command: process.execPath,
    args: [
      ...(profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]),
      ...FROM_SOURCE,
      'packages/testkit/src/fake-vllm/main.ts',
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    core,
  });
  await fake.orFail(listening(port));
  const idleKb = rssKb(fake.pid);
  const url = `ws://127.0.0.1:${port}/v1/realtime`;
  const job: FakeVllmLoadJob = { url, sessions, frameMs, delayMs: DELAY_MS };
  const load = Child.program('../fake-vllm-load.ts', [JSON.stringify(job)]);
  await load.message('ready');
  await fake.orFail(load.orFail(delay(WARM_UP_MS)));

  await load.request('reset', 'reset');
  const startMs = performance.now();
  const before = cpuSeconds(fake.pid);
  const windowMs = seconds * 1000;
  const patienceMs = windowMs + 10_000;
  await fake.orFail(load.orFail(delay(windowMs), patienceMs), patienceMs);
  const after = cpuSeconds(fake.pid);
  const elapsedS = (performance.now() - startMs) / 1000;
  const { messages, worstLagMs } = await load.request('report', 'load-report');
  const { p50Ms, p99Ms } = await load.message('upstream-report');
  const kbPerSession = (rssKb(fake.pid) - idleKb) / sessions;
  await load.stop();
  await fake.stop();

  const cpuS = after.user - before.user + after.system - before.system;
  return {
    cpuShare: cpuS / elapsedS,
    cpuUsPerDelta: (cpuS * 1e6) / messages,
    lagP50Ms: p50Ms,
    lagP99Ms: p99Ms,
    delivered: messages / (DELTAS_PER_SECOND * sessions * elapsedS),
    loadLagMs: worstLagMs,
    kbPerSession,
  };
}

async function listening(port: number): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (answer?.ok) return;
    await delay(POLL_MS);
  }
}

function render(result: Result): string {
  const { options, machine } = result;
  return [
    `${options.sessions} sessions, one append each ${options.frameMs} ms, steps of ${options.stepMs} ms, ${options.seconds} s`,
    `  CPU                ${(result.cpuShare * 100).toFixed(1)} % of one core, ${result.cpuUsPerDelta.toFixed(1)} µs for each delta`,
    `  delta lag          P50 ${result.lagP50Ms.toFixed(2)} ms, P99 ${result.lagP99Ms.toFixed(2)} ms`,
    `  deltas delivered   ${(result.delivered * 100).toFixed(2)} % of those due`,
    `  latest append      ${result.loadLagMs.toFixed(1)} ms late`,
    `  memory             ${result.kbPerSession.toFixed(0)} KB a session, what the heap grew included`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; ${machine.pinning}; load average ${machine.loadAverage.toFixed(1)} before.`,
  ].join('\n');
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
