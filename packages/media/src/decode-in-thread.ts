import { VoiceError } from '@voice-fleet/protocol/errors';
import { startThread } from '@voice-fleet/runtime/thread';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Decoded, DecodeOrder } from './decode-thread-messages.ts';
import { type DecodeLimits, tooLong, undecodable } from './ffmpeg.ts';
import type { RecordingKind } from './sniff.ts';

/** The slowest kind takes 35 ms for each second of audio. */
const TIMEOUT_MS = 120_000;
const MAX_WHY_CHARS = 200;

/**
 * Decodes a recording in a thread of its own, which ends with it, with `signal`, and after two minutes. Rejects with VoiceError:
 * invalid_audio, message_too_large or `cancelled`.
 */
export async function decodeInThread(
  kind: RecordingKind,
  bytes: Buffer,
  { maxDurationMs }: Pick<DecodeLimits, 'maxDurationMs'>,
  signal: AbortSignal,
): Promise<Buffer> {
  if (signal.aborted) throw new VoiceError('cancelled');
  const maxSamples = Math.floor((maxDurationMs / 1000) * SAMPLE_RATE);
  const order: DecodeOrder = { kind, bytes, maxSamples };
  const thread = startThread(import.meta.url, 'decode-thread', order);
  const late = AbortSignal.timeout(TIMEOUT_MS);
  let onStop: (() => void) | undefined;
  try {
    const decoded = await new Promise<Decoded>((resolve) => {
      const fail = (why: string): void => resolve({ kind: 'undecodable', why });
      onStop = () => fail('it takes too long');
      thread.once('message', resolve);
      thread.once('error', (error) => fail(error.message));
      thread.once('exit', () => fail('its decoder gave up'));
      signal.addEventListener('abort', onStop, { once: true });
      late.addEventListener('abort', onStop, { once: true });
    });
    if (signal.aborted) throw new VoiceError('cancelled');
    if (decoded.kind === 'too-long') throw tooLong(maxDurationMs);
    if (decoded.kind === 'undecodable') throw undecodable(decoded.why.slice(0, MAX_WHY_CHARS));
    return Buffer.from(decoded.pcm);
  } finally {
    if (onStop) signal.removeEventListener('abort', onStop);
    if (onStop) late.removeEventListener('abort', onStop);
    await thread.terminate();
  }
}
