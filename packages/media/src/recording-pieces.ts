import decode from 'audio-decode';
import { type DecodedPiece, flacPieces } from './flac-pieces.ts';
import { mp4Fragments } from './mp4-fragments.ts';
import { oggPages } from './ogg-pages.ts';
import { checkAiff, checkAmr, checkCaf } from './plain-heads.ts';
import type { RecordingKind } from './sniff.ts';
import { webmBlocks } from './webm-blocks.ts';

/** Of kinds whose frames have about as many bytes as their samples need: these grow to a few megabytes. */
const CHUNK_BYTES = 16_384;

/**
 * A recording decoded piece by piece: none has more than some megabytes, whatever the file says of itself. Throws Damaged, or
 * whatever a decoder throws.
 */
export async function* recordingPieces(
  kind: RecordingKind,
  file: Buffer,
): AsyncGenerator<DecodedPiece> {
  if (kind === 'flac') return yield* flacPieces(file);
  const decoder = await decode[kind]();
  try {
    for (const part of partsOf(kind, file)) yield await decoder(part);
    yield await decoder();
  } finally {
    decoder.free();
  }
}

/** What a decoder is given at a time. */
function partsOf(kind: Exclude<RecordingKind, 'flac'>, file: Buffer): Iterable<Uint8Array> {
  switch (kind) {
    case 'opus':
    case 'oga':
      return oggPages(file);
    case 'm4a':
      return mp4Fragments(file);
    case 'webm':
      return webmBlocks(file);
    case 'amr':
      checkAmr(file);
      return chunksOf(file);
    case 'aiff':
      checkAiff(file);
      return chunksOf(file);
    case 'caf':
      checkCaf(file);
      return chunksOf(file);
    case 'mp3':
    case 'aac':
      return chunksOf(file);
  }
}

function* chunksOf(file: Buffer): Generator<Uint8Array> {
  for (let at = 0; at < file.length; at += CHUNK_BYTES)
    // A copy: decoders keep what they could not use yet.
    yield new Uint8Array(file.subarray(at, at + CHUNK_BYTES));
}
