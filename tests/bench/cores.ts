import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { which } from './which.ts';

export interface Cores {
  /** For what is measured alone. */
  readonly target: number;
  /** For the load, the upstream and Redis. */
  readonly rest: number;
}

/**
 * Moves this process, and so every child it starts from now on, to one core and names another for the target.
 * `undefined` where there is only one core or no taskset: then nothing is pinned.
 */
export function splitCores(): Cores | undefined {
  const [target, rest] = allowedCores();
  if (target === undefined || rest === undefined || which('taskset') === undefined)
    return undefined;
  execFileSync('taskset', ['-acp', String(rest), String(process.pid)], { stdio: 'ignore' });
  return { target, rest };
}

/** From a line such as `Cpus_allowed_list:	0-1,4`; empty where there is no /proc. */
function allowedCores(): number[] {
  let status: string;
  try {
    status = readFileSync('/proc/self/status', 'utf8');
  } catch {
    return [];
  }
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(status)?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
