import { env } from 'node:process';
import { createInterface } from 'node:readline';

const COLOURS = {
  dim: 2,
  bold: 1,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
};

const PROGRESS_MS = 5_000;

/** Colours for people only: a terminal that has not asked for none. */
export const coloured = Boolean(process.stderr.isTTY) && !env.NO_COLOR;

export function paint(colour, text) {
  return coloured ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
}

/** Everything for people goes to stderr, so that `--json` leaves stdout to the one JSON object. */
export function say(text = '') {
  process.stderr.write(`${text}\n`);
}

/** One line about what goes on: `setup  npm ci`. */
export function tell(name, text, colour = 'dim') {
  say(`${paint(colour, name.padEnd(12))} ${text}`);
}

/** Tells what `work` is about, and every few seconds that it goes on: on a slow line an installer is silent for minutes. */
export async function withProgress(what, work) {
  tell('setup', what, 'cyan');
  const started = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - started) / 1_000);
    tell('setup', `still ${what} (${seconds} s)`);
  }, PROGRESS_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Calls `onLine` for each line a stream carries, also for the last one without an end of line. */
export function eachLine(stream, onLine) {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
}

/** Fields that every log line has and that say nothing new on one screen. */
const FRAME = new Set([
  'ts',
  'time',
  'level',
  'service',
  'event',
  'message',
  'msg',
  'pid',
  'hostname',
]);

/** A JSON log line as `level event message key=value`; any other line as it is. */
export function condense(line) {
  const fields = parseObject(line);
  if (!fields) return line;
  const rest = Object.entries(fields)
    .filter(([key, value]) => !FRAME.has(key) && value !== null && typeof value !== 'object')
    .map(([key, value]) => `${key}=${value}`);
  const level = String(fields.level ?? 'info');
  return [
    paint(LEVEL_COLOURS[level] ?? 'dim', level.padEnd(5)),
    fields.event,
    fields.message ?? fields.msg,
    rest.length > 0 ? paint('dim', rest.join(' ')) : undefined,
  ]
    .filter(Boolean)
    .join(' ');
}

const LEVEL_COLOURS = { warn: 'yellow', error: 'red', fatal: 'red' };

export function parseObject(text) {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
