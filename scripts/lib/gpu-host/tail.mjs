import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { condense, paint, say } from '../output.mjs';
import { isAlive } from './identity.mjs';
import { readPidFile } from './run-files.mjs';

const LOOK_MS = 200;
const CHUNK_BYTES = 1 << 16;
const NEWLINE = 10;
const NAMES = /^(\S+ +)(.*)$/s;

/**
 * Prints the last lines of the log on stdout and then what comes, until Ctrl+C or until the servers are stopped; the servers
 * are left alone. Returns the exit code: 0, or 1 when there is no log.
 */
export async function follow(settings, { lines }) {
  let left = false;
  const leave = () => {
    left = true;
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, leave);
  // `tail | head` ends our reader.
  process.stdout.on('error', leave);
  if (sizeOf(settings.logFile) === undefined) {
    say(`There is no log yet (${settings.logFile}).`);
    return 1;
  }
  let position = positionOfLast(settings.logFile, lines);
  for (;;) {
    // Asked before reading, so that the last lines of servers that have just stopped are printed as well.
    const running = isAlive(readPidFile(settings));
    const size = sizeOf(settings.logFile) ?? 0;
    // The log was trimmed or made anew; what it still holds was printed, or is too old.
    if (size < position) position = size;
    const data = readBytes(settings.logFile, position, size);
    // Up to the last end of line; what follows is still being written.
    const whole = data.subarray(0, data.lastIndexOf(NEWLINE) + 1);
    position += whole.length;
    for (const line of whole.toString('utf8').split('\n').slice(0, -1)) {
      process.stdout.write(`${shown(line)}\n`);
    }
    if (left || !running) break;
    await delay(LOOK_MS);
  }
  say(
    left
      ? '\nThe servers are left alone; `npm run gpu -- stop` ends them.'
      : 'The servers are not running.',
  );
  return 0;
}

/** Condensed for people; as it stands in the log for programs. */
function shown(line) {
  const [, name, rest] = NAMES.exec(line) ?? [];
  return process.stdout.isTTY && name ? `${paint('blue', name)}${condense(rest)}` : line;
}

function sizeOf(path) {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** The position from which `lines` whole lines follow. */
function positionOfLast(path, lines) {
  let end = sizeOf(path);
  // The end of line of the last one does not count.
  let missing = lines + 1;
  while (end > 0) {
    const from = Math.max(0, end - CHUNK_BYTES);
    const chunk = readBytes(path, from, end);
    for (let at = chunk.length - 1; at >= 0; at -= 1) {
      if (chunk[at] !== NEWLINE) continue;
      missing -= 1;
      if (missing === 0) return from + at + 1;
    }
    end = from;
  }
  return 0;
}

/** Nothing when the file is gone. */
function readBytes(path, from, end) {
  const data = Buffer.alloc(end - from);
  let file;
  try {
    file = openSync(path, 'r');
    return data.subarray(0, readSync(file, data, 0, data.length, from));
  } catch {
    return Buffer.alloc(0);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
