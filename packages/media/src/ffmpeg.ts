import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { systemClock } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** It reads many times faster than anybody speaks: one that takes longer hangs. */
const TIMEOUT_MS = 60_000;
const MAX_COMPLAINT_CHARS = 300;

export interface DecodeLimits {
  readonly maxDurationMs: number;
  /** Program for all but WAV. */
  readonly ffmpeg: string;
  /** For the program; a minute by default. */
  readonly timeoutMs?: number;
}

/** There is no such program, or the machine has no room to start it. */
export class NoFfmpeg extends Error {
  override readonly name = 'NoFfmpeg';
}

/**
 * Decodes what ffmpeg knows, from its standard input alone: a file that names others must not have them read. The child is
 * killed when `signal` aborts, when it takes a minute, and when the audio is too long. Whole samples; rejects with VoiceError, or
 * NoFfmpeg.
 */
export function decodeWithFfmpeg(
  bytes: Buffer,
  { ffmpeg, maxDurationMs, timeoutMs = TIMEOUT_MS }: DecodeLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const maxBytes = (maxDurationMs / 1000) * SAMPLE_RATE * BYTES_PER_SAMPLE;
  const args = ['-nostdin', '-v', 'error', '-protocol_whitelist', 'pipe', '-i', 'pipe:0', '-vn'];
  args.push('-f', 's16le', '-ac', '1', '-ar', String(SAMPLE_RATE), 'pipe:1');
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new VoiceError('cancelled'));
    const child = startFfmpeg(ffmpeg, args, signal);
    if (child === undefined) return reject(new NoFfmpeg());
    const { stdin, stdout, stderr } = child;
    let pieces: Buffer[] = [];
    let length = 0;
    let complaint = '';
    /** Whoever else holds its ends of the pipes is not heard any more. */
    const fail = (error: Error): void => {
      late.cancel();
      reject(error);
      pieces = [];
      for (const pipe of [stdin, stdout, stderr]) pipe.destroy();
    };
    // No AbortSignal.timeout within AbortSignal.any: in Node 20 that is collected as garbage, and then never fires.
    const late = systemClock.after(timeoutMs, () => {
      child.kill('SIGKILL');
      fail(undecodable('it takes too long'));
    });
    stdout.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length <= maxBytes) return void pieces.push(piece);
      child.kill('SIGKILL');
      fail(tooLong(maxDurationMs));
    });
    stderr.setEncoding('utf8');
    stderr.on('data', (text: string) => {
      complaint = (complaint + text).slice(0, MAX_COMPLAINT_CHARS);
    });
    // It may have seen enough and be gone.
    stdin.on('error', () => undefined);
    child.once('error', (error) => {
      fail(error.name === 'AbortError' ? new VoiceError('cancelled') : new NoFfmpeg());
    });
    child.once('close', (status) => {
      late.cancel();
      const pcm = Buffer.concat(pieces);
      const samples = Math.floor(pcm.length / BYTES_PER_SAMPLE);
      const why = complaint.trim().split('\n')[0];
      if (status === 0 && (samples > 0 || !why))
        return resolve(pcm.subarray(0, samples * BYTES_PER_SAMPLE));
      return reject(undecodable(why || 'it is damaged or no recording'));
    });
    stdin.end(bytes);
  });
}

/** `undefined`: it cannot be started. What is amiss with its file is told by its event `error`. */
function startFfmpeg(
  ffmpeg: string,
  args: readonly string[],
  signal: AbortSignal,
): ChildProcessWithoutNullStreams | undefined {
  try {
    return spawn(ffmpeg, args, { killSignal: 'SIGKILL', signal });
  } catch {
    return undefined;
  }
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
