import { readFile } from 'node:fs/promises';
import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { readWav } from '@voice-fleet/speech/wav';
import { decodeWithFfmpeg } from './ffmpeg.ts';

/** The usual frame of streaming clients. */
export const CHUNK_MS = 80;
export const CHUNK_BYTES = (CHUNK_MS / 1000) * SAMPLE_RATE * BYTES_PER_SAMPLE;

/** A file as 16 kHz mono PCM16; only what is not such a WAV already needs ffmpeg. */
export async function loadPcm(
  path: string,
  options: { ffmpeg?: string; signal?: AbortSignal } = {},
): Promise<Buffer> {
  const file = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`Cannot read the audio file ${path} (${cause.code ?? cause.message}).`, {
      cause,
    });
  });
  const pcm =
    pcmOfPlainWav(file) ??
    (await decodeWithFfmpeg(path, {
      ...(options.ffmpeg === undefined ? {} : { command: options.ffmpeg }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }));
  if (pcm.length < BYTES_PER_SAMPLE) throw new Error(`${path} holds no audio.`);
  return pcm;
}

export function durationS(pcm: Buffer): number {
  return pcm.length / BYTES_PER_SAMPLE / SAMPLE_RATE;
}

export interface PaceOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** 1 is real time, 2 twice as fast. */
  readonly speed?: number;
}

/**
 * Hands out 80 ms chunks at the pace a microphone would. Each is due at a fixed moment after the
 * first, so that late timers do not add up.
 */
export async function* pacedChunks(pcm: Buffer, options: PaceOptions): AsyncGenerator<Buffer> {
  const { clock, signal, speed = 1 } = options;
  const startMs = clock.now();
  for (let i = 0; i * CHUNK_BYTES < pcm.length; i++) {
    const waitMs = startMs + (i * CHUNK_MS) / speed - clock.now();
    if (waitMs > 0) await sleep(clock, waitMs, signal);
    signal?.throwIfAborted();
    yield pcm.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
  }
}

function pcmOfPlainWav(file: Buffer): Buffer | undefined {
  if (file.toString('latin1', 0, 4) !== 'RIFF') return undefined;
  try {
    const wav = readWav(file);
    return wav.sampleRate === SAMPLE_RATE && wav.channels === 1 ? wav.pcm : undefined;
  } catch {
    // A WAV of another sample format (24 bit, float, µ-law): ffmpeg reads those, or says what is wrong.
    return undefined;
  }
}
