import libflac from 'libflacjs';
import type { SpeechEncoder } from './encoder.ts';

const BITS = 16;
const COMPRESSION = 5;

let loading: Promise<ReturnType<typeof libflac>> | undefined;

/** Once for the process, and only where FLAC is asked for: it takes a tenth of a second. */
function load(): Promise<ReturnType<typeof libflac>> {
  loading ??= new Promise((resolve) => {
    const flac = libflac('release');
    if (flac.isReady()) return resolve(flac);
    flac.on('ready', () => resolve(flac));
  });
  return loading;
}

/** FLAC as a stream: its header leaves open how long it becomes. */
export async function createFlac(sampleRate: number): Promise<SpeechEncoder> {
  const flac = await load();
  let pieces: Buffer[] = [];
  let encoder = flac.create_libflac_encoder(sampleRate, 1, BITS, COMPRESSION, 0, false, 0);
  const take = (): Buffer => {
    const bytes = Buffer.concat(pieces);
    pieces = [];
    return bytes;
  };
  const close = (): void => {
    if (encoder !== 0) flac.FLAC__stream_encoder_delete(encoder);
    encoder = 0;
  };
  // A view of its memory, which it writes to again.
  const status = flac.init_encoder_stream(encoder, (bytes) => void pieces.push(Buffer.from(bytes)));
  if (encoder === 0 || status !== 0) {
    close();
    throw new Error(`the FLAC encoder did not start: ${status}`);
  }
  return {
    push: (pcm) => {
      flac.FLAC__stream_encoder_process_interleaved(encoder, Int32Array.from(pcm), pcm.length);
      return take();
    },
    end: () => {
      flac.FLAC__stream_encoder_finish(encoder);
      return take();
    },
    close,
  };
}
