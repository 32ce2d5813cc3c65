import { explain } from './explain.ts';
import { type CliIo, UsageError } from './flags.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130, stopped: 143 } as const;

/** The reason of the signals that Ctrl+C and SIGTERM abort. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Runs the body of a command; a failure becomes one sentence on stderr and an exit code. */
export async function guarded(
  options: { server: string; json: boolean; debug: boolean; path?: string },
  io: CliIo,
  body: () => Promise<number>,
): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const interrupted = io.signal.aborted;
    const sentence = interrupted ? 'Interrupted.' : explain(error, options.server, options.path);
    io.stderr(`${sentence}\n`);
    if (options.debug && error instanceof Error) io.stderr(`${error.stack}\n`);
    if (options.json) io.stdout(`${JSON.stringify({ ok: false, error: sentence })}\n`);
    return interrupted ? EXIT.interrupted : EXIT.failed;
  }
}
