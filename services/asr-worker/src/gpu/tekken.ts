import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { assertOwnFolder } from './model-folder.ts';

const KEY = 'transcription_delay_ms';

export type Patch =
  /** It has that delay already. */
  | { readonly kind: 'same' }
  | { readonly kind: 'changed'; readonly text: string }
  | { readonly kind: 'skipped'; readonly why: string };

type JsonObject = Record<string, unknown>;

/**
 * Sets the delay of a tekken.json: an existing top-level key first, else the one of `audio`, else a new top-level key. Changed
 * text has sorted keys and an indent of 2.
 */
export function patchTekken(text: string, delayMs: number): Patch {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return { kind: 'skipped', why: 'is not JSON' };
  }
  if (!isObject(root)) return { kind: 'skipped', why: 'is not a JSON object' };
  const audio = root['audio'];
  const holder = !(KEY in root) && isObject(audio) && KEY in audio ? audio : root;
  if (holder[KEY] === delayMs) return { kind: 'same' };
  holder[KEY] = delayMs;
  return { kind: 'changed', text: JSON.stringify(sorted(root), null, 2) };
}

/**
 * Brings `file` to what `source` says with this delay; the two may be one file. Returns what to tell a person when nothing
 * could be done: a missing or foreign file keeps the delay it was published with. Throws when `file` is not ours to replace.
 */
export function writeDelay(
  source: string,
  file: string,
  delayMs: number,
): 'same' | 'written' | { readonly warning: string } {
  let text: string;
  try {
    text = readFileSync(source, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { warning: `${source} is missing: the transcription delay is not set` };
  }
  const patch = patchTekken(text, delayMs);
  if (patch.kind === 'skipped') {
    return { warning: `${source} ${patch.why}: the transcription delay is not set` };
  }
  const wanted = patch.kind === 'changed' ? patch.text : text;
  if (file === source ? patch.kind === 'same' : current(file) === wanted) return 'same';
  assertOwnFolder(dirname(file));
  replaceFile(file, wanted, statSync(source).mode & 0o777);
  return 'written';
}

/** What a regular file holds; a link counts as nothing, so that it is replaced. */
function current(file: string): string | undefined {
  const found = lstatSync(file, { throwIfNoEntry: false });
  return found?.isFile() ? readFileSync(file, 'utf8') : undefined;
}

/**
 * The new text appears at once and whole. A link at `file` is replaced, not followed: in Hugging Face's cache it leads to a
 * blob that other programs read.
 */
function replaceFile(file: string, text: string, mode: number): void {
  const temporary = join(dirname(file), `.${basename(file)}.${randomUUID()}`);
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: mode | 0o200 });
    sync(temporary);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  sync(dirname(file));
}

function sync(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
