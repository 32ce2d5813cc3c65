const PCM_TAG = 0x0001;
const FLOAT_TAG = 0x0003;
const EXTENSIBLE_TAG = 0xfffe;
/** What follows the format tag in the sub-format GUID of an extensible header. */
const GUID_REST = Buffer.from('000000001000800000aa00389b71', 'hex');
const HEADER_BYTES = 44;
const UNKNOWN_SIZE = 0xffff_ffff;
const CONVERT = 'Convert it with: ffmpeg -i <input> -c:a pcm_s16le <output>.wav';

/** The bytes are not a WAV file that can be read; the message says why and what to do. */
export class WavError extends Error {
  override readonly name: string = 'WavError';
}

export interface WavAudio {
  readonly sampleRate: number;
  readonly channels: number;
  /** PCM16 LE, channels interleaved, whole frames only; a view of the given buffer. */
  readonly pcm: Buffer;
}

/** What a header says of each sample; all are little-endian. */
export interface WavFormat {
  readonly sampleRate: number;
  readonly channels: number;
  readonly kind: 'pcm' | 'float';
  /** Of a sample; any that a writer may have thought of. */
  readonly bits: number;
}

/** Reads 16 bit PCM, also from files whose header was written before their length was known. */
export function readWav(buffer: Buffer): WavAudio {
  const { format, data } = openWav(buffer, checkPcm16);
  const { sampleRate, channels } = format;
  return {
    sampleRate,
    channels,
    pcm: data.subarray(0, data.length - (data.length % (2 * channels))),
  };
}

/**
 * Finds format and data of a file with whole or floating-point samples; also when its header was written before its length was known.
 * `check` may refuse the format, before data are looked for. Both are views of the given buffer.
 */
export function openWav(
  buffer: Buffer,
  check: (format: WavFormat) => void,
): { readonly format: WavFormat; readonly data: Buffer } {
  checkRiff(buffer);
  let format: WavFormat | undefined;
  let offset = 12;
  while (offset + 8 <= buffer.length) {
    const id = buffer.toString('latin1', offset, offset + 4);
    const size = buffer.readUInt32LE(offset + 4);
    const body = buffer.subarray(offset + 8, Math.min(buffer.length, offset + 8 + size));
    if (id === 'fmt ') {
      format = readFormat(body);
      check(format);
    }
    if (id === 'data') {
      if (!format) throw new WavError(`WAV has its data before its format. ${CONVERT}`);
      const rest = buffer.subarray(offset + 8);
      return { format, data: isOpenEnded(buffer, size) ? rest : body };
    }
    offset += 8 + size + (size % 2);
  }
  throw new WavError(
    `WAV ends without a ${format ? 'data' : 'fmt'} chunk: the file is cut off or damaged. Export it again.`,
  );
}

/** A mono file of the whole samples in `pcm`. */
export function writeWav(pcm: Buffer, sampleRate: number): Buffer {
  const dataBytes = pcm.length - (pcm.length % 2);
  const wav = Buffer.alloc(HEADER_BYTES + dataBytes);
  wav.write('RIFF', 0, 'latin1');
  wav.writeUInt32LE(HEADER_BYTES - 8 + dataBytes, 4);
  wav.write('WAVEfmt ', 8, 'latin1');
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(PCM_TAG, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(sampleRate, 24);
  wav.writeUInt32LE(sampleRate * 2, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36, 'latin1');
  wav.writeUInt32LE(dataBytes, 40);
  pcm.copy(wav, HEADER_BYTES, 0, dataBytes);
  return wav;
}

function checkRiff(buffer: Buffer): void {
  if (buffer.length < 12) {
    throw new WavError(`Not a WAV file: ${buffer.length} bytes are too few. Send the whole file.`);
  }
  const kind = buffer.toString('latin1', 0, 4);
  if (kind === 'RIFX' || kind === 'RF64') {
    throw new WavError(`WAV of the ${kind} kind is not supported. ${CONVERT}`);
  }
  if (kind !== 'RIFF' || buffer.toString('latin1', 8, 12) !== 'WAVE') {
    throw new WavError(`Not a WAV file: it does not start with RIFF and WAVE. ${CONVERT}`);
  }
}

function readFormat(body: Buffer): WavFormat {
  if (body.length < 16) {
    throw new WavError(
      `WAV format chunk has ${body.length} of at least 16 bytes: the file is cut off or damaged. Export it again.`,
    );
  }
  const tag = body.readUInt16LE(0);
  const channels = body.readUInt16LE(2);
  const sampleRate = body.readUInt32LE(4);
  const bits = body.readUInt16LE(14);
  const plain = tag === EXTENSIBLE_TAG ? subFormat(body) : tag;
  if (plain !== PCM_TAG && plain !== FLOAT_TAG) throw notPlain(tag);
  if (channels === 0 || sampleRate === 0) {
    throw new WavError(`WAV claims ${channels} channels at ${sampleRate} Hz. Export it again.`);
  }
  return { sampleRate, channels, kind: plain === PCM_TAG ? 'pcm' : 'float', bits };
}

function subFormat(body: Buffer): number | undefined {
  if (body.length < 40 || !body.subarray(26, 40).equals(GUID_REST)) return undefined;
  return body.readUInt16LE(24);
}

function checkPcm16({ kind, bits }: WavFormat): void {
  if (kind === 'float') throw notPlain(FLOAT_TAG);
  if (bits !== 16) throw new WavError(`WAV has ${bits} bits per sample, not 16. ${CONVERT}`);
}

function notPlain(tag: number): WavError {
  const hex = tag.toString(16).padStart(4, '0');
  return new WavError(`WAV holds no plain PCM (format 0x${hex}). ${CONVERT}`);
}

/**
 * Writers that stream to a pipe leave 0 or the largest number as size: the audio then goes on to the end of the file.
 * Zero is taken at its word when the outer size fits the file, for then the header was completed.
 */
function isOpenEnded(buffer: Buffer, dataSize: number): boolean {
  if (dataSize === UNKNOWN_SIZE) return true;
  return dataSize === 0 && buffer.readUInt32LE(4) !== buffer.length - 8;
}
