import { randomUUID } from 'node:crypto';
import { mkdir, open, opendir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  type BlobStore,
  checkBlobKey,
  isBlobName,
  Measured,
  type PutBlob,
  type PutOptions,
  type SweepOptions,
} from './blob-store.ts';

/** Blobs as files of one folder, which gateways and workers share. */
export class LocalBlobs implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = resolve(folder);
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<PutBlob> {
    const path = this.#pathOf(key);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // A dot is in no key, so it can be taken for none.
    const draft = `${path}.${randomUUID()}`;
    const measured = new Measured();
    try {
      const file = await open(draft, 'wx', 0o600);
      try {
        for await (const piece of measured.of(source, options)) await writeAll(file, piece);
        // The name must not be there before the bytes are, also when the power goes.
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
    return measured.result();
  }

  async read(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const path = this.#pathOf(key);
    const found = await orNothing(readFile(path, { signal }), undefined);
    // Without the folder, as when it is not mounted, nobody knows what is in it: this rejects.
    if (!found) await stat(dirname(path));
    return found;
  }

  async remove(key: string): Promise<void> {
    await rm(this.#pathOf(key), { force: true });
  }

  async sweep(folder: string, options: SweepOptions): Promise<void> {
    const { beforeMs, signal, isKept, onRemoved } = options;
    const path = this.#pathOf(folder);
    for await (const entry of await orNothing(opendir(path), [])) {
      signal.throwIfAborted();
      const [name = '', draft] = entry.name.split('.');
      if (!entry.isFile() || !isBlobName(name) || (draft !== undefined && !DRAFT.test(draft)))
        continue;
      const file = join(path, entry.name);
      const found = await orNothing(stat(file), undefined);
      if (!found || found.mtimeMs >= beforeMs) continue;
      if (draft === undefined && (await isKept(name))) continue;
      await rm(file, { force: true });
      onRemoved();
    }
  }

  close(): void {
    // A folder is not held open.
  }

  #pathOf(key: string): string {
    return join(this.#folder, checkBlobKey(key));
  }
}

/** What a file may be called until all of it is written. */
const DRAFT = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `nothing` in place of what is not there. */
async function orNothing<T, N>(asked: Promise<T>, nothing: N): Promise<T | N> {
  try {
    return await asked;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return nothing;
    throw error;
  }
}

type FileHandle = Awaited<ReturnType<typeof open>>;

/** One write may take fewer bytes than it was given. */
async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.byteLength; ) {
    const { bytesWritten } = await file.write(piece, at, piece.byteLength - at);
    at += bytesWritten;
  }
}
