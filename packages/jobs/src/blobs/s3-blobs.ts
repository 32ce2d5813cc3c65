import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  paginateListObjectsV2,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { BlobSettings } from './blob-env.ts';
import {
  type BlobStore,
  checkBlobKey,
  isBlobName,
  Measured,
  type PutBlob,
  type PutOptions,
  type SweepOptions,
} from './blob-store.ts';

type S3Settings = Extract<BlobSettings, { kind: 's3' }>;

/** Blobs as objects of one bucket of an S3-compatible store. Requests that fail are tried three times in all. */
export class S3Blobs implements BlobStore {
  readonly #bucket: string;
  readonly #client: S3Client;

  /** `config` goes before what the environment says, as in tests. */
  constructor(settings: S3Settings, config: S3ClientConfig = {}) {
    this.#bucket = settings.bucket;
    this.#client = new S3Client({
      ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
      forcePathStyle: settings.pathStyle,
      // Few stores beside AWS know checksums that trail a stream.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts: 3,
      ...config,
    });
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<PutBlob> {
    const Key = checkBlobKey(key);
    const measured = new Measured();
    const abort = new AbortController();
    const onAbort = (): void => abort.abort();
    const Body = Readable.from(measured.of(source, options), { objectMode: false });
    options.signal.addEventListener('abort', onAbort, { once: true });
    try {
      // One part of 5 MiB at a time is held. An upload that fails is taken back by the SDK.
      const upload = new Upload({
        client: this.#client,
        params: { Bucket: this.#bucket, Key, Body },
        queueSize: 1,
        abortController: abort,
      });
      await upload.done();
    } catch (error) {
      options.signal.throwIfAborted();
      throw error;
    } finally {
      options.signal.removeEventListener('abort', onAbort);
      Body.destroy();
    }
    return measured.result();
  }

  async read(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const Key = checkBlobKey(key);
    try {
      const { Body } = await this.#client.send(
        new GetObjectCommand({ Bucket: this.#bucket, Key }),
        { abortSignal: signal },
      );
      const bytes = await Body?.transformToByteArray();
      // The same bytes: recordings are large.
      return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    const Key = checkBlobKey(key);
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key }));
  }

  /** Parts of uploads that were cut off are not looked for: buckets have rules for that. */
  async sweep(folder: string, options: SweepOptions): Promise<void> {
    const { beforeMs, signal, isKept, onRemoved } = options;
    const Prefix = `${checkBlobKey(folder)}/`;
    const pages = paginateListObjectsV2({ client: this.#client }, { Bucket: this.#bucket, Prefix });
    for await (const { Contents = [] } of pages) {
      for (const { Key = '', LastModified } of Contents) {
        signal.throwIfAborted();
        const name = Key.slice(Prefix.length);
        if (!isBlobName(name) || !LastModified || LastModified.getTime() >= beforeMs) continue;
        if (await isKept(name)) continue;
        await this.remove(Key);
        onRemoved();
      }
    }
  }

  close(): void {
    this.#client.destroy();
  }
}
