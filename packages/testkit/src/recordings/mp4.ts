/** AAC as MP4 tells of it: its AudioSpecificConfig and its frames, out of an ADTS stream. */
export interface AacTrack {
  readonly config: Buffer;
  readonly frames: readonly Buffer[];
  readonly sampleRate: number;
}

const ADTS_RATES = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
];
const AAC_SAMPLES = 1_024;

/** The frames of an ADTS stream without their heads. */
export function aacTrack(adts: Buffer): AacTrack {
  const [, , third = 0, fourth = 0] = adts;
  const rateIndex = (third >> 2) & 15;
  const channels = ((third & 1) << 2) | (fourth >> 6);
  const config = Buffer.of(
    ((2 << 3) | (rateIndex >> 1)) & 255,
    ((rateIndex & 1) << 7) | (channels << 3),
  );
  const frames: Buffer[] = [];
  for (let at = 0; at + 7 <= adts.length; ) {
    const bits = adts.readUInt32BE(at + 3);
    const length = (bits >>> 13) & 0x1fff;
    if (length < 7) break;
    frames.push(adts.subarray(at + 7, at + length));
    at += length;
  }
  return { config, frames, sampleRate: ADTS_RATES[rateIndex] ?? 0 };
}

/** How many samples a file of `frames` frames has. */
export const aacSamples = (frames: number): number => frames * AAC_SAMPLES;

export interface Mp4Options {
  /** Where the index is; phones write it last. */
  readonly moov?: 'first' | 'last';
  /** What the index says of its samples, in place of the truth. */
  readonly stsz?: Buffer;
  readonly stco?: Buffer;
  readonly stsc?: Buffer;
  /** An edit list of the track. */
  readonly edts?: Buffer;
  /** Tags, such as iTunes writes them. */
  readonly udta?: Buffer;
}

/** A file with one track of AAC, all of its frames in one chunk. */
export function mp4Of(track: AacTrack, options: Mp4Options = {}): Buffer {
  const { moov = 'first' } = options;
  const ftyp = box('ftyp', Buffer.from('M4A \0\0\0\0M4A mp42isom'));
  const mdat = box('mdat', ...track.frames);
  const length = moovOf(track, 0, options).length;
  const dataAt = ftyp.length + 8 + (moov === 'first' ? length : 0);
  const index = moovOf(track, dataAt, options);
  return Buffer.concat(moov === 'first' ? [ftyp, index, mdat] : [ftyp, mdat, index]);
}

/** A box with its length and its four letters. */
export function box(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
}

/** Numbers of four bytes, as tables have them. */
export function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [at, number] of numbers.entries()) bytes.writeUInt32BE(number >>> 0, 4 * at);
  return bytes;
}

function moovOf(track: AacTrack, dataAt: number, options: Mp4Options): Buffer {
  const { frames, sampleRate } = track;
  const sizes = frames.map(({ length }) => length);
  const {
    stsz = words(0, 0, sizes.length, ...sizes),
    stco = words(0, 1, dataAt),
    stsc = words(0, 1, 1, sizes.length, 1),
    edts = Buffer.alloc(0),
    udta = Buffer.alloc(0),
  } = options;
  const samples = aacSamples(frames.length);
  const stbl = box(
    'stbl',
    box('stsd', words(0, 1), sampleEntry(track)),
    box('stts', words(0, 1, frames.length, AAC_SAMPLES)),
    box('stsc', stsc),
    box('stsz', stsz),
    box('stco', stco),
  );
  const mdia = box(
    'mdia',
    box('mdhd', words(0, 0, 0, sampleRate, samples, 0)),
    box('hdlr', words(0, 0), Buffer.from('soun'), Buffer.alloc(13)),
    box('minf', stbl),
  );
  const tkhd = box('tkhd', words(7, 0, 0, 1, 0, samples), Buffer.alloc(60));
  const mvhd = box('mvhd', words(0, 0, 0, sampleRate, samples), Buffer.alloc(80));
  return box('moov', mvhd, box('trak', tkhd, edts, mdia), udta);
}

function sampleEntry({ config, sampleRate }: AacTrack): Buffer {
  const entry = Buffer.alloc(28);
  entry.writeUInt16BE(1, 6);
  entry.writeUInt16BE(1, 16);
  entry.writeUInt16BE(16, 18);
  entry.writeUInt16BE(sampleRate, 24);
  const specific = Buffer.concat([Buffer.of(5, config.length), config]);
  const decoder = Buffer.concat([
    Buffer.of(4, 13 + specific.length, 0x40, 0x15),
    Buffer.alloc(11),
    specific,
  ]);
  const descriptor = Buffer.concat([Buffer.of(3, 3 + decoder.length, 0, 0, 0), decoder]);
  return box('mp4a', entry, box('esds', words(0), descriptor));
}
