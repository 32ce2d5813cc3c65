import { VoiceError } from '@voice-fleet/protocol/errors';
import { startThread } from '@voice-fleet/runtime/thread';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Decoded, DecodeOrder } from './decode-thread-messages.ts';
import { type DecodeLimits, tooLong, undecodable } from './ffmpeg.ts';
import type { RecordingKind } from './sniff.ts';

/** The slowest kind takes 35 ms for each second of audio, and with many at once the machine is busy. */
const MIN_TIMEOUT_MS = 60_000;
const TIMEOUT_SHARE = 0.2;
/** For the decoders themselves. Audio is beside it: what a piece of a recording makes of it is bounded, and so is the whole. */
const HEAP_MB = 256;
const MAX_WHY_CHARS = 200;

/**
 * Decodes a recording in a thread of its own, which ends with it, with `signal`, and after a fifth of the longest audio (a minute
 * at least). Rejects with VoiceError: invalid_audio, message_too_large or `cancelled`.
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
  const limits = { maxOldGenerationSizeMb: HEAP_MB };
  const thread = startThread(import.meta.url, 'decode-thread', order, limits);
  const late = AbortSignal.timeout(Math.max(MIN_TIMEOUT_MS, maxDurationMs * TIMEOUT_SHARE));
  let onStop: (() => void) | undefined;
  try {
    const decoded = await new Promise<Decoded>((resolve) => {
      const fail = (why: string): void => resolve({ kind: 'undecodable', why });
      onStop = () => fail('it takes too long');
      thread.once('message', resolve);
      thread.once('error', (error: NodeJS.ErrnoException) =>
        fail(
          error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'it takes too much memory' : error.message,
        ),
      );
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
