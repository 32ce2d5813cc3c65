import { setImmediate as nextTurn } from 'node:timers/promises';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { RecordingTooLong, recordingBlocks } from '@voice-fleet/speech/recording';
import { WavError } from '@voice-fleet/speech/wav';
import { type DecodeLimits, decodeWithFfmpeg, tooLong } from './ffmpeg.ts';

/** How WAV files of all kinds begin, also of those that are refused for a reason. */
const WAV_KINDS = new Set(['RIFF', 'RIFX', 'RF64']);

/**
 * A recording as the fleet's audio: PCM16, 16 kHz, mono. WAV is read here, all else by ffmpeg. Rejects with VoiceError:
 * missing_audio, invalid_audio, message_too_large, unsupported_media_type where ffmpeg is missing, or `cancelled`.
 */
export async function decodeRecording(
  bytes: Buffer,
  limits: DecodeLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const isWav = WAV_KINDS.has(bytes.toString('latin1', 0, 4));
  const pcm = isWav
    ? await decodeWav(bytes, limits, signal)
    : await decodeWithFfmpeg(bytes, limits, signal);
  if (pcm.length < BYTES_PER_SAMPLE)
    throw new VoiceError('missing_audio', { message: 'The recording holds no audio.' });
  return pcm;
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
