import type { BlobSettings } from './blob-env.ts';
import type { BlobStore } from './blob-store.ts';
import { LocalBlobs } from './local-blobs.ts';

/** The store that the settings name. The caller closes it. */
export async function openBlobs(settings: BlobSettings): Promise<BlobStore> {
  if (settings.kind === 'local') return new LocalBlobs(settings.folder);
  // The SDK is large, and most fleets keep their recordings in a folder.
  const { S3Blobs } = await import('./s3-blobs.ts');
  return new S3Blobs(settings);
}
