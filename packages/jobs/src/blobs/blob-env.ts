import { booleanVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** Where recordings of jobs are kept; the same for gateways and workers. */
export const blobEnv = {
  JOBS_DIR: textVar({
    default: '',
    doc: 'Folder that keeps the recordings of jobs, shared by gateways and workers. Empty: `jobs` in the working folder.',
  }),
  JOBS_S3_BUCKET: textVar({
    default: '',
    doc: 'Bucket that keeps the recordings of jobs in place of the folder. Keys and region are taken from the usual AWS variables.',
  }),
  JOBS_S3_ENDPOINT: textVar({
    default: '',
    pattern: /^https?:\/\//,
    doc: 'URL of an S3-compatible store. Empty: that of AWS.',
  }),
  JOBS_S3_PATH_STYLE: booleanVar({
    default: false,
    doc: 'Whether the bucket is named in the path, not in the host, as most stores beside AWS want it.',
  }),
};

type BlobEnv = { readonly [Name in keyof typeof blobEnv]: z.infer<(typeof blobEnv)[Name]> };

export type BlobSettings =
  | { readonly kind: 'local'; readonly folder: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly endpoint: string | undefined;
      readonly pathStyle: boolean;
    };

export function blobSettings(env: BlobEnv): BlobSettings {
  if (env.JOBS_S3_BUCKET === '') return { kind: 'local', folder: env.JOBS_DIR || 'jobs' };
  return {
    kind: 's3',
    bucket: env.JOBS_S3_BUCKET,
    endpoint: env.JOBS_S3_ENDPOINT || undefined,
    pathStyle: env.JOBS_S3_PATH_STYLE,
  };
}
