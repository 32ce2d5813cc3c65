import { type BlobSettings, blobEnv, blobSettings } from '@voice-fleet/jobs/blobs/blob-env';
import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** Variables of jobs that a worker does beside its sessions. */
export const batchEnv = {
  BATCH_JOBS_MAX: integerVar({
    default: 0,
    min: 0,
    max: 4096,
    doc: 'Jobs that this worker does at once, on slots that no session has. 0: it takes none.',
  }),
  BATCH_RESERVE_SLOTS: integerVar({
    default: 0,
    min: 0,
    max: 4096,
    doc: 'Slots that jobs leave free for sessions to come.',
  }),
  BATCH_ATTEMPTS: integerVar({
    default: 3,
    min: 1,
    max: 100,
    doc: 'How often a job is begun that fails or takes its worker down, before it is quarantined. Giving way does not count.',
  }),
  BATCH_LOCK_S: numberVar({
    default: 10,
    min: 1,
    max: 600,
    doc: 'The jobs of a worker that is silent for this long are given to another.',
  }),
  BATCH_RECORDING_MAX_S: numberVar({
    default: 7200,
    min: 1,
    max: 86_400,
    doc: 'A job with a longer recording fails. It is kept in memory while it is transcribed.',
  }),
  FFMPEG_BIN: textVar({
    default: 'ffmpeg',
    doc: 'Program that decodes recordings of jobs that are no WAV files. Where it is missing the usual kinds are read all the same, more slowly.',
  }),
  ...blobEnv,
};

type BatchEnv = { readonly [Name in keyof typeof batchEnv]: z.infer<(typeof batchEnv)[Name]> };

export interface BatchSettings {
  readonly maxJobs: number;
  readonly reserveSlots: number;
  readonly maxAttempts: number;
  readonly lockMs: number;
  readonly decode: { readonly maxDurationMs: number; readonly ffmpeg: string };
  readonly blobs: BlobSettings;
}

export function batchSettings(env: BatchEnv): BatchSettings {
  return {
    maxJobs: env.BATCH_JOBS_MAX,
    reserveSlots: env.BATCH_RESERVE_SLOTS,
    maxAttempts: env.BATCH_ATTEMPTS,
    lockMs: env.BATCH_LOCK_S * 1000,
    decode: { maxDurationMs: env.BATCH_RECORDING_MAX_S * 1000, ffmpeg: env.FFMPEG_BIN },
    blobs: blobSettings(env),
  };
}
