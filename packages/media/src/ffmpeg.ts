import { spawn } from 'node:child_process';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** It reads many times faster than anybody speaks: one that takes longer hangs. */
const TIMEOUT_MS = 60_000;
const MAX_COMPLAINT_CHARS = 300;

export interface DecodeLimits {
  readonly maxDurationMs: number;
  /** Program for all but WAV. */
  readonly ffmpeg: string;
}

/** There is no such program. */
export class NoFfmpeg extends Error {
  override readonly name = 'NoFfmpeg';
}

/**
 * Decodes what ffmpeg knows, from its standard input alone: a file that names others must not have them read. The child is
 * killed when `signal` aborts, when it takes a minute, and when the audio is too long. Rejects with VoiceError, or NoFfmpeg.
 */
export function decodeWithFfmpeg(
  bytes: Buffer,
  { ffmpeg, maxDurationMs }: DecodeLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const maxBytes = (maxDurationMs / 1000) * SAMPLE_RATE * BYTES_PER_SAMPLE;
  const args = ['-nostdin', '-v', 'error', '-protocol_whitelist', 'pipe', '-i', 'pipe:0', '-vn'];
  args.push('-f', 's16le', '-ac', '1', '-ar', String(SAMPLE_RATE), 'pipe:1');
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new VoiceError('cancelled'));
    const child = spawn(ffmpeg, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      killSignal: 'SIGKILL',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const pieces: Buffer[] = [];
    let length = 0;
    let complaint = '';
    child.stdout.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length <= maxBytes) return void pieces.push(piece);
      reject(tooLong(maxDurationMs));
      child.kill('SIGKILL');
    });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      complaint = (complaint + text).slice(0, MAX_COMPLAINT_CHARS);
    });
    // It may have seen enough and be gone.
    child.stdin.on('error', () => undefined);
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (signal.aborted) return reject(new VoiceError('cancelled'));
      if (error.code === 'ENOENT' || error.code === 'EACCES') return reject(new NoFfmpeg());
      return reject(undecodable('it takes too long'));
    });
    child.once('close', (status) => {
      if (status === 0) return resolve(Buffer.concat(pieces));
      return reject(
        undecodable(complaint.trim().split('\n')[0] || 'it is damaged or no recording'),
      );
    });
    child.stdin.end(bytes);
  });
}

/** The recording is longer than it may be. */
export function tooLong(maxDurationMs: number, message?: string): VoiceError {
  const maxS = maxDurationMs / 1000;
  return new VoiceError('message_too_large', {
    message: message ?? `The recording is longer than ${maxS} s. Send a shorter one.`,
    details: { max_seconds: maxS },
  });
}

/** The recording is damaged, or none. */
export function undecodable(why: string): VoiceError {
  return new VoiceError('invalid_audio', { message: `The recording cannot be decoded: ${why}` });
}
