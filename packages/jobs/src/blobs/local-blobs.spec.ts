import { mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LocalBlobs } from './local-blobs.ts';

const never = new AbortController().signal;

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

describe('a folder of blobs', () => {
  let folder: string;
  let blobs: LocalBlobs;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vf-blobs-'));
    blobs = new LocalBlobs(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const put = (key: string, source: AsyncIterable<Uint8Array>, maxBytes = 100) =>
    blobs.put(key, source, { maxBytes, signal: never });
  const files = async () =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);

  it('gives back what was put, and tells its size and digest', async () => {
    await expect(put('jobs/a', pieces('ab', 'c'))).resolves.toEqual({
      bytes: 3,
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    });
    expect(String(await blobs.read('jobs/a', never))).toBe('abc');
  });

  it('replaces a blob in whole', async () => {
    await put('jobs/a', pieces('a longer one'));
    await put('jobs/a', pieces('short'));
    expect(String(await blobs.read('jobs/a', never))).toBe('short');
    expect(await files()).toEqual(['a']);
  });

  it('has nothing where nothing was put or all was removed, also twice', async () => {
    await put('jobs/a', pieces('x'));
    await blobs.remove('jobs/a');
    await blobs.remove('jobs/a');
    expect(await blobs.read('jobs/a', never)).toBeUndefined();
  });

  it('does not tell of a blob that it is gone while its folder is', async () => {
    await put('jobs/a', pieces('x'));
    await rename(join(folder, 'jobs'), join(folder, 'away'));
    await expect(blobs.read('jobs/a', never)).rejects.toMatchObject({ code: 'ENOENT' });
    await rename(join(folder, 'away'), join(folder, 'jobs'));
    expect(String(await blobs.read('jobs/a', never))).toBe('x');
  });

  it('refuses what is too large and keeps none of it', async () => {
    await expect(put('jobs/a', pieces('1234', '5678'), 7)).rejects.toMatchObject({
      code: 'message_too_large',
    });
    expect(await files()).toEqual([]);
  });

  it('keeps none of a source that fails or is given up, and leaves what was there', async () => {
    await put('jobs/a', pieces('before'));
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* pieces('half');
      throw new Error('gone');
    }
    await expect(put('jobs/a', failing())).rejects.toThrow('gone');
    const signal = AbortSignal.abort(new Error('given up'));
    await expect(blobs.put('jobs/a', pieces('x'), { maxBytes: 9, signal })).rejects.toThrow(
      'given up',
    );
    expect(String(await blobs.read('jobs/a', never))).toBe('before');
    expect(await files()).toEqual(['a']);
  });

  it('sweeps old blobs that are not kept, and what is left of uploads, and nothing else', async () => {
    const draft = 'jobs/old.0d9ff9a2-3f6b-4f6e-9a0f-0e5a3a3f1c11';
    for (const key of ['jobs/old', 'jobs/kept', 'jobs/new', 'other/old'])
      await put(key, pieces('x'));
    for (const path of [draft, 'jobs/notes.txt', 'jobs/.hidden'])
      await writeFile(join(folder, path), 'x');
    await mkdir(join(folder, 'jobs/folder'));
    const old = ['jobs/old', 'jobs/kept', 'other/old', draft, 'jobs/notes.txt', 'jobs/.hidden'];
    for (const path of old) await utimes(join(folder, path), 1000, 1000);
    let removed = 0;
    const isKept = async (name: string): Promise<boolean> => name === 'kept';
    const onRemoved = (): void => {
      removed += 1;
    };
    const options = { beforeMs: 2_000_000, signal: never, isKept, onRemoved };
    await blobs.sweep('jobs', options);
    expect(removed).toBe(2);
    expect((await files()).sort()).toEqual(['.hidden', 'kept', 'new', 'notes.txt', 'old']);
    await blobs.sweep('none', options);
    await expect(
      blobs.sweep('jobs', { ...options, signal: AbortSignal.abort(new Error('given up')) }),
    ).rejects.toThrow('given up');
  });

  it.each(['', '..', '../a', '/etc/passwd', 'a/../../b', 'a//b', 'a/', 'a\0', 'a.b', 'a\\b'])(
    'takes %j for no key',
    async (key) => {
      await expect(put(key, pieces('x'))).rejects.toThrow(RangeError);
      await expect(blobs.read(key, never)).rejects.toThrow(RangeError);
      await expect(blobs.remove(key)).rejects.toThrow(RangeError);
    },
  );
});
