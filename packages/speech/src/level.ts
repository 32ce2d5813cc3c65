import { BYTES_PER_SAMPLE } from './pcm.ts';

/** What silence is reported as: finite, so that levels can be averaged and sent as JSON. */
export const SILENCE_DBFS = -120;

/** Root mean square level of PCM16 LE against full scale; allocates nothing. */
export function rmsDbfs(pcm: Buffer, fromByte = 0, toByte = pcm.length): number {
  const samples = Math.floor((toByte - fromByte) / BYTES_PER_SAMPLE);
  let sum = 0;
  for (let index = 0; index < samples; index += 1) {
    const sample = pcm.readInt16LE(fromByte + index * BYTES_PER_SAMPLE);
    sum += sample * sample;
  }
  if (sum === 0) return SILENCE_DBFS;
  return Math.max(SILENCE_DBFS, 10 * Math.log10(sum / samples / 32_768 ** 2));
}
