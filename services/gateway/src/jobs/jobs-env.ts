import { blobEnv, blobSettings } from '@voice-fleet/jobs/blobs/blob-env';
import { booleanVar, integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';
import { listOf, webhookEnv, webhookSettings } from '../webhooks/webhook-env.ts';

const HOUR_MS = 3_600_000;

/** Variables of the endpoints for jobs. */
export const jobsEnv = {
  ...blobEnv,
  ...webhookEnv,
  JOBS_ENABLED: booleanVar({
    default: true,
    doc: 'Whether jobs are taken in. Off where no worker does any (BATCH_JOBS_MAX); jobs that there are can still be read.',
  }),
  JOBS_MAX_BYTES: integerVar({
    default: 1_073_741_824,
    min: 1024,
    // Workers read a recording in one go, and Node reads no more so.
    max: 2_147_483_647,
    doc: 'A larger recording of a job is answered with 413.',
  }),
  JOBS_TENANT_MAX: integerVar({
    default: 1000,
    min: 1,
    max: 1_000_000,
    doc: 'Jobs of one tenant that are queued or running. More are answered with 429.',
  }),
  JOBS_MAX: integerVar({
    default: 100_000,
    min: 1,
    max: 10_000_000,
    doc: 'Jobs of all tenants that are queued or running. More are answered with 503.',
  }),
  JOBS_UPLOADS_MAX: integerVar({
    default: 16,
    min: 1,
    max: 1000,
    doc: 'Recordings of jobs that this gateway takes in at a time. More are answered with 503.',
  }),
  JOBS_URL_ALLOW: textVar({
    default: '',
    doc: 'Hosts that recordings of jobs may be fetched from: host, *.domain or host:port, separated by commas. `!` before one lets it be in a private network and without TLS. Empty: none.',
  }),
  JOBS_URL_TIMEOUT_S: numberVar({
    default: 120,
    min: 1,
    max: 3600,
    doc: 'A recording must have been fetched within this time.',
  }),
  JOBS_AUDIO_KEPT_H: numberVar({
    default: 0,
    min: 0,
    max: 8760,
    doc: 'The recording of a job is deleted so long after its end.',
  }),
  JOBS_KEPT_DAYS: numberVar({
    default: 30,
    min: 0.001,
    max: 3650,
    doc: 'A job that is over is deleted with its result after so many days.',
  }),
};

type JobsEnv = { readonly [Name in keyof typeof jobsEnv]: z.infer<(typeof jobsEnv)[Name]> };

export interface JobsSettings {
  readonly blobs: ReturnType<typeof blobSettings>;
  readonly enabled: boolean;
  readonly maxBytes: number;
  readonly maxOfTenant: number;
  readonly maxOfAll: number;
  readonly uploadsMax: number;
  readonly urlAllow: readonly string[];
  readonly urlTimeoutMs: number;
  readonly webhooks: ReturnType<typeof webhookSettings>;
  readonly audioKeptMs: number;
  readonly keptMs: number;
}

export function jobsSettings(env: JobsEnv): JobsSettings {
  return {
    blobs: blobSettings(env),
    enabled: env.JOBS_ENABLED,
    maxBytes: env.JOBS_MAX_BYTES,
    maxOfTenant: env.JOBS_TENANT_MAX,
    maxOfAll: env.JOBS_MAX,
    uploadsMax: env.JOBS_UPLOADS_MAX,
    urlAllow: listOf(env.JOBS_URL_ALLOW),
    urlTimeoutMs: env.JOBS_URL_TIMEOUT_S * 1000,
    webhooks: webhookSettings(env),
    audioKeptMs: env.JOBS_AUDIO_KEPT_H * HOUR_MS,
    keptMs: env.JOBS_KEPT_DAYS * 24 * HOUR_MS,
  };
}
