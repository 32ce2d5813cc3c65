import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** Variables of the endpoints that take a whole recording. */
export const recordingEnv = {
  HTTP_RECORDING_MAX_BYTES: integerVar({
    default: 26_214_400,
    min: 1024,
    max: 1_073_741_824,
    doc: 'A larger recording is answered with 413. It is kept in memory while it is transcribed.',
  }),
  HTTP_RECORDING_MAX_S: numberVar({
    default: 600,
    min: 1,
    max: 7200,
    doc: 'A longer recording is answered with 413.',
  }),
  HTTP_RECORDINGS_MAX: integerVar({
    default: 8,
    min: 1,
    max: 1000,
    doc: 'Recordings that this gateway takes at a time. More are answered with 503.',
  }),
  FFMPEG_BIN: textVar({
    default: 'ffmpeg',
    doc: 'Program that decodes recordings that are no WAV files. Where it is missing the usual kinds are read all the same, more slowly.',
  }),
};

type RecordingEnv = {
  readonly [Name in keyof typeof recordingEnv]: z.infer<(typeof recordingEnv)[Name]>;
};

export interface RecordingSettings {
  readonly maxBytes: number;
  readonly maxDurationMs: number;
  readonly maxAtOnce: number;
  readonly ffmpeg: string;
}

export function recordingSettings(env: RecordingEnv): RecordingSettings {
  return {
    maxBytes: env.HTTP_RECORDING_MAX_BYTES,
    maxDurationMs: env.HTTP_RECORDING_MAX_S * 1000,
    maxAtOnce: env.HTTP_RECORDINGS_MAX,
    ffmpeg: env.FFMPEG_BIN,
  };
}
