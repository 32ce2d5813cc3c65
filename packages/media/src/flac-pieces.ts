import { FLACDecoder } from '@wasm-audio-decoders/flac';
import CodecParser, { type CodecFrame, type OggPage } from 'codec-parser';

export interface DecodedPiece {
  readonly channelData: readonly Float32Array[];
  readonly sampleRate: number;
}

/** Samples of all channels that are decoded at once: 8 MB. A frame of a few bytes may hold half a million. */
const MOST_VALUES = 2_000_000;

/**
 * Decodes FLAC, bare or in Ogg, frame by frame: of silence 20 kB are minutes of eight channels, and given whole they were in memory
 * at once.
 */
export async function* flacPieces(bytes: Uint8Array): AsyncGenerator<DecodedPiece> {
  const decoder = new FLACDecoder();
  await decoder.ready;
  let frames: Uint8Array[] = [];
  let values = 0;
  try {
    for (const { data, header, samples } of framesOf(bytes)) {
      frames.push(data);
      values += samples * header.channels;
      if (values < MOST_VALUES) continue;
      yield await decoder.decodeFrames(frames);
      frames = [];
      values = 0;
    }
    if (frames.length > 0) yield await decoder.decodeFrames(frames);
  } finally {
    decoder.free();
  }
}

function* framesOf(bytes: Uint8Array): Generator<CodecFrame> {
  const isOgg = Buffer.from(bytes.subarray(0, 4)).toString('latin1') === 'OggS';
  const parser = new CodecParser<CodecFrame | OggPage>(isOgg ? 'audio/ogg' : 'audio/flac');
  for (const parts of [parser.parseChunk(bytes), parser.flush()])
    for (let step = parts.next(); step.done !== true; step = parts.next()) {
      const part = step.value;
      if ('codecFrames' in part) yield* part.codecFrames;
      else yield part;
    }
}
