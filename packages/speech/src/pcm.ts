/** Samples per second of all audio inside the fleet: mono PCM16 LE. */
export const SAMPLE_RATE = 16_000;
export const BYTES_PER_SAMPLE = 2;

export function samplesToMs(samples: number): number {
  return (samples * 1_000) / SAMPLE_RATE;
}

/** Whole samples, for positions and lengths. */
export function msToSamples(ms: number): number {
  return Math.round((ms * SAMPLE_RATE) / 1_000);
}

/** How long `bytes` of audio last; a trailing half sample does not count. */
export function pcmDurationMs(bytes: number): number {
  return samplesToMs(Math.floor(bytes / BYTES_PER_SAMPLE));
}
