import { setImmediate as nextTurn } from 'node:timers/promises';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { RecordingTooLong, recordingBlocks } from '@voice-fleet/speech/recording';
import { WavError, writeWav } from '@voice-fleet/speech/wav';

/** What an upload turned out to be. */
export type Sound =
  | {
      readonly kind: 'speech';
      /** Mono PCM16 at 16 kHz, whatever was sent. */
      readonly wav: Buffer;
      readonly durationMs: number;
    }
  /** Nothing, or nothing loud enough to be speech. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'undecodable'; readonly reason: string };

export interface HearingLimits {
  readonly maxAudioMs: number;
  /** Of full scale, which is 1. */
  readonly silenceRms: number;
}

/**
 * Decodes and judges an upload, in turns with whatever else the process does. Throws VoiceError message_too_large for one that is
 * too long, and the signal's reason.
 */
export async function hear(
  file: Buffer,
  { maxAudioMs, silenceRms }: HearingLimits,
  signal: AbortSignal,
): Promise<Sound> {
  if (file.length === 0) return { kind: 'silence' };
  const blocks: Int16Array[] = [];
  let samples = 0;
  let power = 0;
  try {
    for (const block of recordingBlocks(file, { maxDurationMs: maxAudioMs })) {
      blocks.push(block);
      samples += block.length;
      for (const sample of block) power += sample * sample;
      await nextTurn(undefined, { signal });
    }
  } catch (error) {
    if (error instanceof RecordingTooLong)
      throw new VoiceError('message_too_large', { message: error.message });
    if (error instanceof WavError) return { kind: 'undecodable', reason: error.message };
    throw error;
  }
  if (samples === 0 || Math.sqrt(power / samples) / 32_768 < silenceRms) return { kind: 'silence' };
  const pcm = Buffer.concat(blocks.map((block) => bytesOf(block)));
  return { kind: 'speech', wav: writeWav(pcm, SAMPLE_RATE), durationMs: durationMs(samples) };
}

/** A view; every machine this runs on is little-endian, as PCM16 LE is. */
function bytesOf(pcm: Int16Array): Buffer {
  return Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);
}

function durationMs(samples: number): number {
  return (samples * 1_000) / SAMPLE_RATE;
}
