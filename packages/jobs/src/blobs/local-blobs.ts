import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  type BlobStore,
  checkBlobKey,
  Measured,
  type PutBlob,
  type PutOptions,
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
    try {
      return await readFile(this.#pathOf(key), { signal });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    await rm(this.#pathOf(key), { force: true });
  }

  close(): void {
    // A folder is not held open.
  }

  #pathOf(key: string): string {
    return join(this.#folder, checkBlobKey(key));
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
