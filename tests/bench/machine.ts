import { spawnSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import type { Cores } from './cores.ts';
import type { TargetName } from './options.ts';
import { which } from './which.ts';

/** Where the numbers come from. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly proxies: readonly string[];
  readonly pinning: string;
  /** Over the minute before the first measurement. */
  readonly loadAverage: number;
  readonly date: string;
}

export function describeMachine(cores: Cores | undefined, targets: readonly TargetName[]): Machine {
  const proxies: string[] = [];
  if (targets.includes('nginx')) proxies.push(version('nginx'));
  if (targets.includes('haproxy')) proxies.push(version('haproxy'));
  return {
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    proxies,
    pinning: cores
      ? `target alone on core ${cores.target}, the rest on core ${cores.rest}`
      : 'nothing pinned to a core',
    loadAverage: loadavg()[0] ?? 0,
    date: new Date().toISOString(),
  };
}

function version(command: 'nginx' | 'haproxy'): string {
  // nginx tells it on stderr.
  const { stdout, stderr } = spawnSync(which(command) ?? command, ['-v'], { encoding: 'utf8' });
  const number = /(\d+\.\d+\.\d+)/.exec(`${stdout}${stderr}`)?.[1] ?? 'of unknown version';
  return `${command} ${number}`;
}
