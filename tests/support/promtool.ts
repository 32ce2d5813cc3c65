import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { env } from 'node:process';

/** The Prometheus of Debian, as `npm test` and `npm run test:integration` find or fetch it. */
export function prometheusPath(): string {
  const path = env['VF_PROMETHEUS'];
  if (!path) throw new Error('VF_PROMETHEUS is not set: run the specs through npm');
  return path;
}

export interface Ran {
  readonly code: number;
  /** What it printed, on both outputs. */
  readonly text: string;
}

/** Runs promtool to its end; `input` is what it reads. */
export function promtool(args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const program = join(dirname(prometheusPath()), 'promtool');
    const child = execFile(program, [...args], { encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, text: stdout + stderr });
    });
    child.stdin?.end(input);
  });
}
