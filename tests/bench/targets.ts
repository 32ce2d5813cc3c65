import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { YAP_PATH } from '@voice-fleet/protocol/yap';
import { freePort } from '@voice-fleet/testkit/ports';
import { Child, FROM_SOURCE } from './child.ts';
import type { TargetName } from './options.ts';
import { ANY_FREE, untilAccepting, untilOk } from './ports.ts';
import { haproxyConfig, nginxConfig, type ProxyPlan } from './proxy-config.ts';
import { which } from './which.ts';

const API_KEY = 'bench-key';

/** Where a target finds the rest of the benchmark. */
export interface TargetPlan {
  readonly upstreamPort: number;
  readonly redisUrl: string;
  readonly fleet: string;
  readonly sessions: number;
  /** Empty, for this target alone. */
  readonly folder: string;
  readonly core: number | undefined;
  readonly profileDir: string | undefined;
}

export interface StartedTarget {
  readonly child: Child;
  /** Where clients connect. */
  readonly url: string;
}

/** Starts one target and waits until it takes connections. */
export async function startTarget(name: TargetName, plan: TargetPlan): Promise<StartedTarget> {
  const { child, port } = await start(name, plan);
  return { child, url: clientUrl(port) };
}

/** The same for every target, so that all get the same bytes. */
export function clientUrl(port: number): string {
  return `ws://127.0.0.1:${port}${YAP_PATH}?api_key=${API_KEY}`;
}

async function start(name: TargetName, plan: TargetPlan): Promise<{ child: Child; port: number }> {
  switch (name) {
    case 'ws': {
      const upstream = `ws://127.0.0.1:${plan.upstreamPort}`;
      const child = Child.program('relay.ts', [upstream], {
        core: plan.core,
        nodeArgs: profileArgs(plan),
      });
      const { port = 0 } = await child.message('ready');
      return { child, port };
    }
    case 'nginx':
      return startProxy(plan, nginxConfig, (config) => ['-e', 'stderr', '-c', config], 'nginx');
    case 'haproxy':
      return startProxy(plan, haproxyConfig, (config) => ['-db', '-f', config], 'haproxy');
    case 'gateway':
      return startGateway(plan);
  }
}

async function startProxy(
  plan: TargetPlan,
  configure: (proxy: ProxyPlan) => string,
  args: (configFile: string) => string[],
  command: string,
): Promise<{ child: Child; port: number }> {
  const { folder, sessions, core, upstreamPort } = plan;
  const port = await freePort();
  const file = join(folder, `${command}.conf`);
  await writeFile(
    file,
    configure({ port, upstream: `127.0.0.1:${upstreamPort}`, folder, sessions }),
  );
  const child = new Child({
    name: command,
    command: which(command) ?? command,
    args: args(file),
    core,
  });
  await child.orFail(untilAccepting(port));
  return { child, port };
}

async function startGateway(plan: TargetPlan): Promise<{ child: Child; port: number }> {
  const port = await freePort();
  const child = new Child({
    name: 'gateway',
    command: process.execPath,
    args: [...profileArgs(plan), ...FROM_SOURCE, 'services/gateway/src/main.ts'],
    core: plan.core,
    env: {
      VF_EXIT_WITH_PARENT: '1',
      LOG_LEVEL: 'warn',
      SERVER_BIND_HOST: '127.0.0.1',
      SERVER_PORT: String(port),
      INTERNAL_BIND_HOST: '127.0.0.1',
      INTERNAL_PORT: ANY_FREE,
      REDIS_URL: plan.redisUrl,
      FLEET_NAME: plan.fleet,
      VOXTRAL_API_KEY: API_KEY,
    },
  });
  // Ready means that the stand-in worker has registered, too.
  await child.orFail(untilOk(`http://127.0.0.1:${port}/readyz`));
  return { child, port };
}

function profileArgs({ profileDir }: TargetPlan): string[] {
  return profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
}
