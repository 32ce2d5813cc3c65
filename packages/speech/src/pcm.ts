/** Samples per second of all audio inside the fleet: mono PCM16 LE. */
export const SAMPLE_RATE = 16_000;
export const BYTES_PER_SAMPLE = 2;

/** Whole samples, for positions and lengths. */
export function msToSamples(ms: number): number {
  return Math.round((ms * SAMPLE_RATE) / 1_000);
}
