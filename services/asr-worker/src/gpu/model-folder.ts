import {
  accessSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TEKKEN_FILE } from './snapshot.ts';

/**
 * Makes `folder` a writable view of a snapshot that is not ours to write: links to all it holds except tekken.json, which gets
 * a copy of its own. Links of a snapshot before are taken away. Throws when the folder holds something that is in the way.
 */
export function linkSnapshot(snapshot: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  if (realpathSync(snapshot) === realpathSync(folder)) {
    throw new Error('VOXTRAL_MODEL_DIR and VOXTRAL_SNAPSHOT_DIR are the same folder');
  }
  const wanted = new Set(readdirSync(snapshot).filter((name) => name !== TEKKEN_FILE));
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const isLink = lstatSync(path).isSymbolicLink();
    if (wanted.has(name) && !isLink) {
      throw new Error(`${path} is in the way of a link to ${snapshot}: take it away`);
    }
    if (isLink && readlinkSync(path) !== (wanted.has(name) ? join(snapshot, name) : undefined)) {
      rmSync(path);
    }
  }
  const there = new Set(readdirSync(folder));
  for (const name of wanted) {
    if (!there.has(name)) symlinkSync(join(snapshot, name), join(folder, name));
  }
}

/** Throws unless files of this folder may be replaced: it must be writable, and not of Hugging Face's cache. */
export function assertOwnFolder(folder: string): void {
  const advice = `set VOXTRAL_SNAPSHOT_DIR=${folder} and VOXTRAL_MODEL_DIR to a writable folder`;
  // The cache keeps one folder a commit, `snapshots/<commit>`, and other programs read it.
  if (basename(dirname(realpathSync(folder))) === 'snapshots') {
    throw new Error(`${folder} belongs to Hugging Face's cache and is not changed: ${advice}`);
  }
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new Error(`${folder} is not writable: ${advice}`);
  }
}
