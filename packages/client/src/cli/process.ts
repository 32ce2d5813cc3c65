import { setMaxListeners } from 'node:events';
import { systemClock } from '@voice-fleet/runtime/clock';
import { EXIT, Interrupted } from './guard.ts';
import { run } from './run.ts';

/** Runs one command line as the work of this process, and ends it with the command's exit code. */
export async function runProcess(argv: readonly string[]): Promise<never> {
  const interrupt = new AbortController();
  // Every session of a bench listens; ten of them are no leak.
  setMaxListeners(0, interrupt.signal);
  process.once('SIGINT', () => {
    // The first Ctrl+C closes connections orderly, the second does not wait for that.
    process.once('SIGINT', () => process.exit(EXIT.interrupted));
    interrupt.abort(new Interrupted('Interrupted.'));
  });
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  // As process 1 of a container it would not end by this without a handler. The second does not wait either.
  process.once('SIGTERM', () => {
    process.once('SIGTERM', () => process.exit(EXIT.stopped));
    stop.abort(new Interrupted('Stopped.'));
  });
  const exitCode = await run(argv, {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    isTty: process.stderr.isTTY === true,
    env: process.env,
    clock: systemClock,
    signal: interrupt.signal,
    stop: stop.signal,
  });
  // A finished command ends, even if a handle is left or Node waits for its own threads (nodejs/node#54918); what was written
  // may still be on its way into a pipe.
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(exitCode);
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
