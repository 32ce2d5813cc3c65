import type { CliIo } from '@voice-fleet/client/cli/flags';
import { run } from '@voice-fleet/client/cli/run';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';

export interface ClientRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One command line of the clients, in this process. */
export async function runClient(
  argv: readonly string[],
  io: Partial<CliIo> = {},
): Promise<ClientRun> {
  let stdout = '';
  let stderr = '';
  const code = await run(argv, {
    isTty: false,
    env: {},
    clock: systemClock,
    signal: new AbortController().signal,
    ...io,
    stdout: (text) => {
      stdout += text;
      io.stdout?.(text);
    },
    stderr: (text) => {
      stderr += text;
      io.stderr?.(text);
    },
  });
  return { code, stdout, stderr };
}

/** Time that goes faster than it does: for what waits by design. */
export function quickClock(factor: number): Clock {
  return {
    now: () => systemClock.now() * factor,
    wallNow: () => systemClock.wallNow(),
    after: (delayMs, run) => systemClock.after(delayMs / factor, run),
    every: (intervalMs, run) => systemClock.every(intervalMs / factor, run),
  };
}
