import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { assertOwnFolder, linkSnapshot } from './model-folder.ts';

let root = '';
let snapshot = '';
let folder = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'voice-fleet-model-'));
  snapshot = join(root, 'snapshot');
  folder = join(root, 'deep/model');
  mkdirSync(snapshot);
  for (const name of ['params.json', 'tekken.json', 'consolidated.safetensors'])
    writeFileSync(join(snapshot, name), name);
});
afterEach(() => rmSync(root, { recursive: true }));

describe('a view of a snapshot', () => {
  it('is links to all it holds but tekken.json', () => {
    linkSnapshot(snapshot, folder);
    expect(readdirSync(folder).sort()).toEqual(['consolidated.safetensors', 'params.json']);
    for (const name of readdirSync(folder)) {
      expect(lstatSync(join(folder, name)).isSymbolicLink()).toBe(true);
      expect(realpathSync(join(folder, name))).toBe(realpathSync(join(snapshot, name)));
    }
  });

  it('stays as it is the second time, with its own tekken.json', () => {
    linkSnapshot(snapshot, folder);
    writeFileSync(join(folder, 'tekken.json'), 'own');
    const before = lstatSync(join(folder, 'params.json')).ino;
    linkSnapshot(snapshot, folder);
    expect(lstatSync(join(folder, 'params.json')).ino).toBe(before);
    expect(readFileSync(join(folder, 'tekken.json'), 'utf8')).toBe('own');
  });

  it('follows a newer snapshot', () => {
    linkSnapshot(snapshot, folder);
    const newer = join(root, 'newer');
    mkdirSync(newer);
    writeFileSync(join(newer, 'params.json'), 'newer');
    linkSnapshot(newer, folder);
    expect(readdirSync(folder)).toEqual(['params.json']);
    expect(readFileSync(join(folder, 'params.json'), 'utf8')).toBe('newer');
  });

  it('does not replace files of the folder', () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'params.json'), 'mine');
    expect(() => linkSnapshot(snapshot, folder)).toThrow('in the way');
    expect(readFileSync(join(folder, 'params.json'), 'utf8')).toBe('mine');
  });

  it('is not the snapshot itself', () => {
    symlinkSync(snapshot, join(root, 'alias'));
    expect(() => linkSnapshot(snapshot, join(root, 'alias'))).toThrow('the same folder');
    expect(readFileSync(join(snapshot, 'params.json'), 'utf8')).toBe('params.json');
  });
});

describe('a folder whose files may be replaced', () => {
  it('is one of our own', () => {
    expect(() => assertOwnFolder(snapshot)).not.toThrow();
  });

  it('is none in the cache of Hugging Face, also by another name', () => {
    const cached = join(root, 'hub/models--a--b/snapshots/0a1b');
    mkdirSync(cached, { recursive: true });
    symlinkSync(cached, join(root, 'alias'));
    for (const path of [cached, join(root, 'alias')])
      expect(() => assertOwnFolder(path)).toThrow(`VOXTRAL_SNAPSHOT_DIR=${path}`);
  });

  it('is writable', () => {
    expect(() => assertOwnFolder('/proc/self')).toThrow('is not writable');
  });
});
