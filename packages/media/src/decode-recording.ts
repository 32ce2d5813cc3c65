import { setImmediate as nextTurn } from 'node:timers/promises';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { RecordingTooLong, recordingBlocks } from '@voice-fleet/speech/recording';
import { WavError } from '@voice-fleet/speech/wav';
import { decodeInThread } from './decode-in-thread.ts';
import { type DecodeLimits, decodeWithFfmpeg, NoFfmpeg, tooLong, undecodable } from './ffmpeg.ts';
import { KINDS_READ, sniffRecording } from './sniff.ts';

/** How WAV files of all kinds begin, also of those that are refused for a reason. */
const WAV_KINDS = new Set(['RIFF', 'RIFX', 'RF64']);

/**
 * A recording as the fleet's audio: PCM16, 16 kHz, mono. WAV is read here; all else by ffmpeg, and where that is
 * missing or can make nothing of it, by decoders that need no program. Rejects with VoiceError: missing_audio, invalid_audio,
 * message_too_large or `cancelled`.
 */
export async function decodeRecording(
  bytes: Buffer,
  limits: DecodeLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const isWav = WAV_KINDS.has(bytes.toString('latin1', 0, 4));
  const pcm = isWav
    ? await decodeWav(bytes, limits, signal)
    : await decodeOther(bytes, limits, signal);
  if (pcm.length < BYTES_PER_SAMPLE)
    throw new VoiceError('missing_audio', { message: 'The recording holds no audio.' });
  return pcm;
}

/** ffmpeg first: it knows more, and is faster. What comes through a pipe it cannot go back in, as some MP4 files want it. */
async function decodeOther(
  bytes: Buffer,
  limits: DecodeLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const kind = sniffRecording(bytes);
  try {
    return await decodeWithFfmpeg(bytes, limits, signal);
  } catch (error) {
    const isFault = error instanceof VoiceError && error.code === 'invalid_audio';
    if (!isFault && !(error instanceof NoFfmpeg)) throw error;
    if (kind !== undefined) return await decodeInThread(kind, bytes, limits, signal);
    if (isFault) throw error;
    throw undecodable(`it is none of ${KINDS_READ}`);
  }
}

/** Between two blocks others get their turn: a long recording takes longer than their frames may wait. */
async function decodeWav(
  bytes: Buffer,
  { maxDurationMs }: DecodeLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  try {
    for (const { buffer, byteOffset, byteLength } of recordingBlocks(bytes, { maxDurationMs })) {
      pieces.push(Buffer.from(buffer, byteOffset, byteLength));
      await nextTurn();
      if (signal.aborted) throw new VoiceError('cancelled');
    }
  } catch (error) {
    if (error instanceof RecordingTooLong) throw tooLong(maxDurationMs, error.message);
    if (error instanceof WavError)
      throw new VoiceError('invalid_audio', { message: error.message });
    throw error;
  }
  return Buffer.concat(pieces);
}
