import { readFileSync } from 'node:fs';

/** USER_HZ: what the kernel counts CPU time in towards programs, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/<pid>/stat behind the name, which may hold spaces; utime and stime are fields 14 and 15 of the file. */
const UTIME = 11;
const STIME = 12;

export interface CpuSeconds {
  readonly user: number;
  readonly system: number;
}

/** CPU time of a process so far, all threads together. */
export function cpuSeconds(pid: number): CpuSeconds {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    user: Number(fields[UTIME]) / TICKS_PER_SECOND,
    system: Number(fields[STIME]) / TICKS_PER_SECOND,
  };
}

export function rssKb(pid: number): number {
  const kb = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb ?? 0);
}
