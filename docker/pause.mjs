// Waits so many seconds and ends with 0: the preStop hook of a gateway, which serves on meanwhile. No image needs a shell for it.
import { argv } from 'node:process';

/** A day. Node counts milliseconds in 31 bits, and no cluster waits as long. */
const MAX_S = 86_400;
const EXIT_USAGE = 2;

const [text = '', ...rest] = argv.slice(2);
const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
if (rest.length === 0 && seconds <= MAX_S) {
  setTimeout(() => {}, seconds * 1000);
} else {
  console.error(`usage: node pause.mjs SECONDS, from 0 to ${MAX_S}`);
  process.exitCode = EXIT_USAGE;
}
