import { parentPort, workerData } from 'node:worker_threads';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { Resampler } from '@voice-fleet/speech/resample';
import decode from 'audio-decode';
import type { Decoded, DecodeOrder } from './decode-thread-messages.ts';
import { type DecodedPiece, flacPieces } from './flac-pieces.ts';
import type { RecordingKind } from './sniff.ts';

/** Given to the decoder at a time: what comes of it is in memory at once, and silence can grow a thousandfold. */
const CHUNK_BYTES = 16_384;

/** The thread in which one recording is decoded: a decoder that fails, hangs or eats memory takes nothing with it. */
async function decodeAll({ kind, bytes, maxSamples }: DecodeOrder): Promise<Decoded> {
  const pieces: Int16Array[] = [];
  let resampler: Resampler | undefined;
  let rate = 0;
  let length = 0;
  const keep = (piece: Int16Array | undefined): void => {
    if (piece === undefined || piece.length === 0) return;
    pieces.push(piece);
    length += piece.length;
  };
  const take = (channels: readonly Float32Array[], sampleRate: number): void => {
    if (channels.length === 0) return;
    if (sampleRate !== rate) {
      keep(resampler?.flush());
      resampler = new Resampler(sampleRate, SAMPLE_RATE);
      rate = sampleRate;
    }
    keep(resampler?.push(mixed(channels)));
  };
  for await (const { channelData, sampleRate } of decodedPieces(kind, bytes)) {
    take(channelData, sampleRate);
    if (length > maxSamples) return { kind: 'too-long' };
  }
  keep(resampler?.flush());
  if (length > maxSamples) return { kind: 'too-long' };
  const pcm = new Int16Array(length);
  let to = 0;
  for (const piece of pieces) {
    pcm.set(piece, to);
    to += piece.length;
  }
  return { kind: 'pcm', pcm: pcm.buffer };
}

async function* decodedPieces(kind: RecordingKind, bytes: Uint8Array): AsyncIterable<DecodedPiece> {
  if (kind === 'flac') return yield* flacPieces(bytes);
  const decoder = await decode[kind]();
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
    yield await decoder(bytes.slice(at, at + CHUNK_BYTES));
  yield await decoder();
}

/** In equal parts, as with WAV. */
function mixed(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(0), ...others] = channels;
  if (others.length === 0) return first;
  return first.map(
    (sample, at) =>
      others.reduce((sum, channel) => sum + (channel[at] ?? 0), sample) / channels.length,
  );
}

function tell(decoded: Decoded): void {
  parentPort?.postMessage(decoded, decoded.kind === 'pcm' ? [decoded.pcm] : []);
}

// Decoders write what they think of a damaged recording; its client is told.
console.error = console.warn = console.log = () => undefined;

await decodeAll(workerData as DecodeOrder).then(tell, (error: unknown) =>
  tell({ kind: 'undecodable', why: error instanceof Error ? error.message : 'it is damaged' }),
);
