import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from './child.ts';
import { FRAME_MS, WORDS_PER_SECOND } from './frames.ts';
import type { LoadJob, UpstreamJob } from './messages.ts';
import type { BenchOptions, TargetName } from './options.ts';
import { cpuSeconds, rssKb } from './process-usage.ts';
import { clientUrl, type StartedTarget, startTarget } from './targets.ts';

/** Connections settle and hot functions get compiled in this time, which does not count. */
const WARM_UP_MS = 2_000;

/** What all measurements of one benchmark have in common. */
export interface Bench extends BenchOptions {
  readonly redisUrl: string;
  readonly targetCore: number | undefined;
  /** For files of this benchmark; removed at its end. */
  readonly folder: string;
}

/** How well the load itself was carried: the numbers of a run that fell behind say nothing. */
export interface Delivery {
  /** Of the audio frames due in the window, the part that reached the upstream. */
  readonly frames: number;
  /** Of the messages due in the window, the part that reached the clients. */
  readonly messages: number;
  /** How late the load process sent its latest frame. */
  readonly loadLagMs: number;
}

export interface Measurement {
  /** CPU seconds of the target's process in 1000 session seconds. */
  readonly userPer1000: number;
  readonly systemPer1000: number;
  /** From the load process to the upstream, the target in between. */
  readonly oneWayP50Ms: number;
  readonly oneWayP99Ms: number;
  readonly kbPerSession: number;
  readonly delivery: Delivery;
}

/**
 * Starts upstream, target and load, watches them for a while and stops them. `direct` has no target in between: it tells
 * how long a frame takes on this machine anyway. `id` keeps measurements apart, in Redis and on disk.
 */
export async function measure(
  name: TargetName | 'direct',
  bench: Bench,
  id: string,
): Promise<Measurement> {
  const { sessions, redisUrl, targetCore: core, profileDir } = bench;
  const folder = join(bench.folder, id);
  await mkdir(folder);
  const upstream = await startUpstream(
    name === 'gateway'
      ? { kind: 'link', sessions, redisUrl, fleet: id }
      : { kind: 'plain', sessions },
  );
  const upstreamPort = upstream.port;
  const plan = { upstreamPort, redisUrl, fleet: id, sessions, folder, core, profileDir };
  const target: StartedTarget =
    name === 'direct'
      ? { child: upstream.child, url: clientUrl(upstreamPort) }
      : await startTarget(name, plan);

  const idleKb = rssKb(target.child.pid);
  const load = await startLoad({ url: target.url, sessions });
  const result = await watch(bench, target.child, upstream.child, load);
  const kbPerSession = (rssKb(target.child.pid) - idleKb) / sessions;

  for (const child of [load, target.child, upstream.child]) await child.stop();
  return { ...result, kbPerSession };
}

async function watch(
  { sessions, seconds }: Bench,
  target: Child,
  upstream: Child,
  load: Child,
): Promise<Omit<Measurement, 'kbPerSession'>> {
  await target.orFail(load.orFail(delay(WARM_UP_MS)));
  await load.request('reset', 'reset');
  await upstream.request('reset', 'reset');
  const startMs = performance.now();
  const before = cpuSeconds(target.pid);
  const windowMs = seconds * 1000;
  const patienceMs = windowMs + 10_000;
  await target.orFail(load.orFail(delay(windowMs), patienceMs), patienceMs);
  const after = cpuSeconds(target.pid);
  const elapsedS = (performance.now() - startMs) / 1000;
  const arrived = await upstream.request('report', 'upstream-report');
  const { messages, worstLagMs } = await load.request('report', 'load-report');

  const sessionS = sessions * elapsedS;
  return {
    userPer1000: ((after.user - before.user) * 1000) / sessionS,
    systemPer1000: ((after.system - before.system) * 1000) / sessionS,
    oneWayP50Ms: arrived.p50Ms,
    oneWayP99Ms: arrived.p99Ms,
    delivery: {
      frames: (arrived.frames * FRAME_MS) / 1000 / sessionS,
      messages: messages / WORDS_PER_SECOND / sessionS,
      loadLagMs: worstLagMs,
    },
  };
}

async function startUpstream(job: UpstreamJob): Promise<{ child: Child; port: number }> {
  const child = Child.program('upstream.ts', [JSON.stringify(job)]);
  const { port = 0 } = await child.message('ready');
  return { child, port };
}

async function startLoad(job: LoadJob): Promise<Child> {
  const child = Child.program('load.ts', [JSON.stringify(job)]);
  await child.message('ready');
  return child;
}
