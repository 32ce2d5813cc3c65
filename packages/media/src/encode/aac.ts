import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { bytesOf } from './encoder.ts';

export interface AacOptions {
  readonly sampleRate: number;
  /** Program that encodes. */
  readonly ffmpeg: string;
}

/** For the log, should it fail. */
const MAX_COMPLAINT_CHARS = 300;

/**
 * AAC in ADTS, by a child that runs ffmpeg. The child is killed when `signal` aborts or nobody reads on. Throws VoiceError
 * unsupported_format where ffmpeg is missing; whatever `pcm` throws.
 */
export async function* encodeAac(
  pcm: AsyncIterable<Int16Array>,
  { sampleRate, ffmpeg }: AacOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const args = ['-nostdin', '-v', 'error', '-f', 's16le', '-ar', String(sampleRate), '-ac', '1'];
  args.push('-i', 'pipe:0', '-c:a', 'aac', '-b:a', '64k', '-flush_packets', '1');
  args.push('-f', 'adts', 'pipe:1');
  const child = spawn(ffmpeg, args, { stdio: ['pipe', 'pipe', 'pipe'], killSignal: 'SIGKILL' });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, MAX_COMPLAINT_CHARS);
  });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', () => reject(noAac()));
    child.once('close', resolve);
  });
  ended.catch(() => undefined);
  const spawned = once(child, 'spawn');
  spawned.catch(() => undefined);
  let fault: Error | undefined;
  const feed = async (): Promise<void> => {
    try {
      for await (const piece of pcm) {
        if (child.stdin.destroyed) return;
        if (!child.stdin.write(Buffer.from(bytesOf(piece))))
          await Promise.race([once(child.stdin, 'drain', { signal }), once(child, 'close')]);
      }
      child.stdin.end();
    } catch (error) {
      fault = error as Error;
      kill();
    }
  };
  const feeding = feed();
  try {
    // Before anything is read: what could not be started has an error on its pipes too.
    await Promise.race([spawned, ended]);
    for await (const bytes of child.stdout as AsyncIterable<Buffer>) yield bytes;
    signal.throwIfAborted();
    if (fault !== undefined) throw fault;
    const status = await ended;
    if (status !== 0) throw new Error(`ffmpeg ended with ${status}: ${complaint.trim()}`);
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
    await Promise.all([feeding, ended.catch(() => undefined)]);
  }
}

/** No AAC can be made here. */
export function noAac(): VoiceError {
  return new VoiceError('unsupported_format', {
    message: 'AAC is not made here, as there is no ffmpeg. Ask for mp3, opus, flac, wav or pcm.',
  });
}
