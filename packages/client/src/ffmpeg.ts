import { spawn } from 'node:child_process';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

const MAX_STDERR_CHARS = 2_000;
/** Two hours of 16 kHz PCM16: more than any session may last. */
const MAX_PCM_BYTES = 7_200 * SAMPLE_RATE * 2;
const DECODE_TIMEOUT_MS = 120_000;

/** Decodes any file ffmpeg knows to 16 kHz mono PCM16. */
export function decodeWithFfmpeg(
  path: string,
  options: { command?: string; signal?: AbortSignal } = {},
): Promise<Buffer> {
  // `file:` keeps a path with a colon in it from being read as a protocol.
  const args = ['-nostdin', '-v', 'error', '-i', `file:${path}`];
  args.push('-f', 's16le', '-ac', '1', '-ar', String(SAMPLE_RATE), 'pipe:1');
  return new Promise((resolve, reject) => {
    const child = spawn(options.command ?? 'ffmpeg', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: DECODE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      ...(options.signal && { signal: options.signal }),
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_PCM_BYTES) {
        reject(new Error(`${path} holds more than two hours of audio. Cut it first.`));
        child.kill('SIGKILL');
        return;
      }
      chunks.push(chunk);
    });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      complaint = (complaint + text).slice(-MAX_STDERR_CHARS);
    });
    child.once('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'ENOENT' ? ffmpegMissing(path, cause) : cause);
    });
    child.once('close', (status, killedBy) => {
      if (status === 0) return resolve(Buffer.concat(chunks));
      const why = complaint.trim() || `status ${status ?? killedBy}`;
      reject(new Error(`ffmpeg cannot decode ${path}: ${why}`));
    });
  });
}

function ffmpegMissing(path: string, cause: Error): Error {
  return new Error(
    `${path} is not a 16 kHz mono PCM16 WAV, and ffmpeg, which would convert it, is not installed. Run \`apt-get install ffmpeg\`, or give such a WAV.`,
    { cause },
  );
}
