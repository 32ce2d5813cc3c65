import { expect, it } from '@jest/globals';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { WaitingAudio } from './waiting-audio.ts';

/** One frame of 1 MiB, a byte for each sample at 8 kHz, is twice as many samples here. */
const FRAME_SAMPLES = 2 * 1024 * 1024;

it('keeps the longest frame of telephone audio whole, even behind a minute of audio', () => {
  const holds: boolean[] = [];
  const waiting = new WaitingAudio((hold) => holds.push(hold));
  const before = 60 * SAMPLE_RATE;
  waiting.push(Buffer.alloc(before * BYTES_PER_SAMPLE), 0);
  waiting.forgetBefore(0, before);
  waiting.push(Buffer.alloc(FRAME_SAMPLES * BYTES_PER_SAMPLE), before);
  waiting.forgetBefore(0, before + FRAME_SAMPLES);

  let bytes = 0;
  for (const piece of waiting.pieces(0)) bytes += piece.length;
  expect(waiting.fromSample).toBe(0);
  expect(bytes).toBe((before + FRAME_SAMPLES) * BYTES_PER_SAMPLE);
  expect(holds).toEqual([true]);
});
