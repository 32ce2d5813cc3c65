import { rmsDbfs } from './level.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from './pcm.ts';

/** The longest piece of a recording: 60 s. */
export const MAX_PIECE_SAMPLES = 60 * SAMPLE_RATE;
/** Levels are taken of so much: 20 ms. */
const STEP_SAMPLES = 0.02 * SAMPLE_RATE;
/** So much louder than the quietest step still is the pause. */
const PAUSE_DB = 6;

/**
 * Where the piece of PCM16 that begins at `fromSample` ends: amid the longest pause of its second half, the last of equals. A
 * rest that fits is one piece. The same audio always gives the same end.
 */
export function pieceEnd(pcm: Buffer, fromSample: number, maxSamples = MAX_PIECE_SAMPLES): number {
  const endSample = Math.floor(pcm.length / BYTES_PER_SAMPLE);
  if (endSample - fromSample <= maxSamples) return endSample;
  const searchFrom = fromSample + Math.ceil(maxSamples / 2);
  const levels: number[] = [];
  for (let at = searchFrom; at + STEP_SAMPLES <= fromSample + maxSamples; at += STEP_SAMPLES)
    levels.push(rmsDbfs(pcm, at * BYTES_PER_SAMPLE, (at + STEP_SAMPLES) * BYTES_PER_SAMPLE));
  const limit = levels.reduce((least, level) => Math.min(least, level), 0) + PAUSE_DB;
  let best = { from: levels.length, steps: 0 };
  let from = 0;
  for (const [index, level] of levels.entries()) {
    if (level > limit) from = index + 1;
    else if (index + 1 - from >= best.steps) best = { from, steps: index + 1 - from };
  }
  return searchFrom + Math.round((best.from + best.steps / 2) * STEP_SAMPLES);
}
