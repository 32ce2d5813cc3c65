import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Files on their way to the disk. More are not written: a disk that is so slow will not get better by it. */
const MAX_PENDING = 64;
/** A session that is hours long says less. */
const MAX_CHARS = 1024 * 1024;

/** Where final transcripts are kept: a text file each, in one folder, which nobody else may read. */
export class TranscriptFiles {
  readonly #folder: string;
  #pending = 0;
  #made: Promise<unknown> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `id` is the transcript's, and all of its file's name but the time. Rejects when it is not written. */
  async save(id: string, text: string, wallMs: number): Promise<void> {
    if (this.#pending >= MAX_PENDING) throw new Error('too many files wait to be written');
    this.#pending += 1;
    try {
      this.#made ??= mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await this.#made.catch((error: unknown) => {
        this.#made = undefined;
        throw error;
      });
      // An id is the server's own; the name is kept safe all the same.
      const safeId = id.replace(/[^\w-]/g, '_').slice(0, 100);
      const time = new Date(wallMs).toISOString().replace(/[:.]/g, '-');
      await writeFile(
        join(this.#folder, `${time}_${safeId}.txt`),
        `${text.slice(0, MAX_CHARS)}\n`,
        {
          flag: 'wx',
          mode: 0o600,
        },
      );
    } finally {
      this.#pending -= 1;
    }
  }
}
