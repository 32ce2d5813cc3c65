import { createHash, type Hash } from 'node:crypto';
import { VoiceError } from '@voice-fleet/protocol/errors';

/** The folder of the recordings of jobs, each named by its job. */
export const RECORDINGS = 'jobs';

/** What was put. */
export interface PutBlob {
  readonly bytes: number;
  /** SHA-256 of the bytes, in hex. */
  readonly sha256: string;
}

export interface PutOptions {
  /** More is refused with message_too_large, and nothing is kept. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

export interface SweepOptions {
  /** Blobs put later are not looked at. */
  readonly beforeMs: number;
  readonly signal: AbortSignal;
  /** By the name of a blob in its folder. */
  readonly isKept: (name: string) => Promise<boolean>;
  readonly onRemoved: () => void;
}

/**
 * Keeps recordings of jobs under keys such as `jobs/job_1f`. A blob is there in whole or not at all. Throws RangeError for a key
 * that is none; what the store itself throws is a fault of the store.
 */
export interface BlobStore {
  /** Keeps what `source` gives, in place of what was there. */
  put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<PutBlob>;
  /** The whole blob; undefined when there is none. */
  read(key: string, signal: AbortSignal): Promise<Buffer | undefined>;
  /** Without a blob under that key nothing happens. */
  remove(key: string): Promise<void>;
  /** Removes old blobs of a folder that are not kept, and what uploads that were cut off have left. Rejects when the signal aborts. */
  sweep(folder: string, options: SweepOptions): Promise<void>;
  close(): void;
}

const KEY = /^[A-Za-z0-9_-]{1,100}(?:\/[A-Za-z0-9_-]{1,100}){0,4}$/;

const NAME = /^[A-Za-z0-9_-]{1,100}$/;

/** Whether something in a folder of the store may be a blob of ours: all else is left alone. */
export function isBlobName(name: string): boolean {
  return NAME.test(name);
}

/** Throws RangeError for what could lead out of a store. */
export function checkBlobKey(key: string): string {
  if (!KEY.test(key)) throw new RangeError(`blob key ${JSON.stringify(key)} is not valid`);
  return key;
}

/** Passes bytes on, and counts and digests them. */
export class Measured {
  #bytes = 0;
  readonly #hash: Hash = createHash('sha256');

  /** Throws message_too_large in place of the piece that is too much, and the signal's reason once it aborts. */
  async *of(source: AsyncIterable<Uint8Array>, options: PutOptions): AsyncGenerator<Uint8Array> {
    const { maxBytes, signal } = options;
    signal.throwIfAborted();
    for await (const piece of source) {
      signal.throwIfAborted();
      this.#bytes += piece.byteLength;
      if (this.#bytes > maxBytes) {
        throw new VoiceError('message_too_large', {
          message: `The recording is larger than ${maxBytes} bytes. Send a shorter or compressed one.`,
          details: { max_bytes: maxBytes },
        });
      }
      this.#hash.update(piece);
      yield piece;
    }
  }

  /** Once, when all went by. */
  result(): PutBlob {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}
