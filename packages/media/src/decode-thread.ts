import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { Resampler } from '@voice-fleet/speech/resample';
import { Damaged } from './damaged.ts';
import type { Decoded, DecodeOrder } from './decode-thread-messages.ts';
import { recordingPieces } from './recording-pieces.ts';

/** On Linux this is the thread's own: who decodes gives way to those who speak. */
const NICE = 10;
/** A filter for another rate takes longer to make than a short frame to decode. */
const MAX_RATES = 16;

/** The thread in which one recording is decoded: a decoder that fails, hangs or eats memory takes nothing with it. */
async function decodeAll({ kind, bytes, maxSamples }: DecodeOrder): Promise<Decoded> {
  const pieces: Int16Array[] = [];
  let resampler: Resampler | undefined;
  let rate = 0;
  let rates = 0;
  let length = 0;
  const keep = (piece: Int16Array | undefined): void => {
    if (piece === undefined || piece.length === 0) return;
    pieces.push(piece);
    length += piece.length;
  };
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for await (const { channelData, sampleRate } of recordingPieces(kind, file)) {
    if (channelData.length === 0) continue;
    if (sampleRate !== rate) {
      rates += 1;
      if (rates > MAX_RATES) throw new Damaged('its sample rate changes too often');
      keep(resampler?.flush());
      resampler = new Resampler(sampleRate, SAMPLE_RATE);
      rate = sampleRate;
    }
    keep(resampler?.push(mixed(channelData)));
    if (length > maxSamples) return { kind: 'too-long' };
  }
  keep(resampler?.flush());
  if (length > maxSamples) return { kind: 'too-long' };
  if (length === 0) return { kind: 'undecodable', why: 'there is no audio in it that can be read' };
  const pcm = new Int16Array(length);
  let to = 0;
  for (const piece of pieces) {
    pcm.set(piece, to);
    to += piece.length;
  }
  return { kind: 'pcm', pcm: pcm.buffer };
}

/** In equal parts, as with WAV. */
function mixed(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(0), ...others] = channels;
  if (others.length === 0) return first;
  const sum = new Float32Array(first);
  for (const channel of others)
    for (let at = 0; at < sum.length; at += 1) sum[at] = (sum[at] as number) + (channel[at] ?? 0);
  for (let at = 0; at < sum.length; at += 1) sum[at] = (sum[at] as number) / channels.length;
  return sum;
}

/** Decoders say what is wrong with a file as a plain Error; all else is where they stumbled. */
function isTold(error: unknown): error is Error {
  return error instanceof Damaged || (error instanceof Error && error.constructor === Error);
}

function tell(decoded: Decoded): void {
  parentPort?.postMessage(decoded, decoded.kind === 'pcm' ? [decoded.pcm] : []);
}

// Decoders write what they think of a damaged recording; its client is told.
console.error = console.warn = console.log = () => undefined;
if (process.platform === 'linux') setPriority(NICE);

await decodeAll(workerData as DecodeOrder).then(tell, (error: unknown) =>
  tell({ kind: 'undecodable', why: isTold(error) ? error.message : 'it is damaged' }),
);
