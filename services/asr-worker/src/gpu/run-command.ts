import { execFile } from 'node:child_process';
import type { Run } from './probe.ts';

/** A program's output is a page at the most. */
const MAX_BYTES = 1024 * 1024;

/** `Run` on this machine. The program is killed when its time is up; its stderr goes nowhere. */
export const runCommand: Run = (command, args, timeoutMs) =>
  new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_BYTES } as const;
    const child = execFile(command, [...args], options, (error, stdout) => {
      resolve(error ? undefined : stdout);
    });
    child.stdin?.end();
  });
