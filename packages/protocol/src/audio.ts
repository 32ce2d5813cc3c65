/** Samples a second of all audio inside the fleet. */
export const SAMPLE_RATE = 16_000;
/** PCM16, mono. */
export const BYTES_PER_SAMPLE = 2;
