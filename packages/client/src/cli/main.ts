import { setMaxListeners } from 'node:events';
import { systemClock } from '@voice-fleet/runtime/clock';
import { EXIT, Interrupted } from './guard.ts';
import { run } from './run.ts';

const interrupt = new AbortController();
// Every session of a bench listens; ten of them are no leak.
setMaxListeners(0, interrupt.signal);
process.once('SIGINT', () => {
  // The first Ctrl+C closes connections orderly, the second does not wait for that.
  process.once('SIGINT', () => process.exit(EXIT.interrupted));
  interrupt.abort(new Interrupted('Interrupted.'));
});

process.exitCode = await run(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isTty: process.stderr.isTTY === true,
  env: process.env,
  clock: systemClock,
  signal: interrupt.signal,
});
