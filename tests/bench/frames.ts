import { BYTES_PER_SAMPLE, msToSamples } from '@voice-fleet/speech/pcm';

export const FRAME_MS = 80;
export const FRAME_BYTES = msToSamples(FRAME_MS) * BYTES_PER_SAMPLE;
/** What every upstream sends each session, about as often as words come out of speech with tokens of 80 ms. */
export const WORDS_PER_SECOND = 12;
export const WORD = ' word';

/** The first bytes of each frame's PCM: 8 of the time it was sent, and one that fills up a base64 group. */
const STAMP_BYTES = 9;
const STAMP_CHARS = 12;
const APPEND = '{"type":"input_audio_buffer.append"';

/** Ids of session `index`, of the same length for all, so that the audio lies at the same place in every frame. */
export function idsOf(index: number): { session_id: string; request_id: string } {
  const digits = String(index).padStart(6, '0');
  return { session_id: `s${digits}`, request_id: `r${digits}` };
}

/** The audio frame of one session as yap text, ready to be stamped and sent again and again. */
export function audioFrame(index: number): Buffer {
  const envelope = {
    type: 'input_audio_buffer.append',
    ...idsOf(index),
    payload: { audio: speechLike().toString('base64') },
  };
  return Buffer.from(JSON.stringify(envelope));
}

export const AUDIO_OFFSET = audioFrame(0).indexOf('"audio":"') + '"audio":"'.length;

const stamp = Buffer.alloc(STAMP_BYTES);

/** Writes the time into the first samples. The clock is the system's monotonic one, the same in every process. */
export function stampFrame(frame: Buffer): void {
  stamp.writeBigUInt64LE(process.hrtime.bigint());
  frame.write(stamp.toString('base64'), AUDIO_OFFSET, 'latin1');
}

/** Milliseconds since the frame was stamped; `undefined` for a frame without audio. */
export function frameAgeMs(frame: Buffer): number | undefined {
  if (frame.length < FRAME_BYTES || frame.toString('latin1', 0, APPEND.length) !== APPEND)
    return undefined;
  const stamped = frame.toString('latin1', AUDIO_OFFSET, AUDIO_OFFSET + STAMP_CHARS);
  return pcmAgeMs(Buffer.from(stamped, 'base64'));
}

export function pcmAgeMs(pcm: Buffer): number {
  return Number(process.hrtime.bigint() - pcm.readBigUInt64LE(0)) / 1e6;
}

/** Not silence, whose base64 is one letter: a few tones, the same in every run. */
function speechLike(): Buffer {
  const pcm = Buffer.alloc(FRAME_BYTES);
  for (let sample = 0; sample < FRAME_BYTES / BYTES_PER_SAMPLE; sample += 1) {
    const value = 6000 * Math.sin(sample / 7) + 3000 * Math.sin(sample / 3.1);
    pcm.writeInt16LE(Math.round(value), sample * BYTES_PER_SAMPLE);
  }
  return pcm;
}
