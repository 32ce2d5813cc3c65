/** Kinds of recordings that are decoded without another program. WAV is not among them: it is read as it is. */
export type RecordingKind =
  | 'mp3'
  | 'flac'
  | 'opus'
  | 'oga'
  | 'm4a'
  | 'aac'
  | 'webm'
  | 'aiff'
  | 'caf'
  | 'amr';

/** For messages. */
export const KINDS_READ =
  'WAV, MP3, FLAC, Ogg (Opus, Vorbis), M4A, MP4, AAC, WebM, AIFF, CAF or AMR';

const EBML = Buffer.from([0x1a, 0x45, 0xdf, 0xa3]);
const ID3_HEADER = 10;
/** An Ogg page's head with one packet; what the packet is follows at once. */
const OGG_PAGE_BYTES = 64;

/** What a recording is by its own first bytes: names and types that come with it are often wrong. `undefined`: nothing known. */
export function sniffRecording(bytes: Buffer): RecordingKind | undefined {
  const at = (from: number, to: number): string => bytes.toString('latin1', from, to);
  const magic = at(0, 4);
  if (magic === 'fLaC') return 'flac';
  if (magic === 'OggS') return sniffOgg(at(0, OGG_PAGE_BYTES));
  if (at(4, 8) === 'ftyp') return 'm4a';
  if (bytes.subarray(0, 4).equals(EBML)) return 'webm';
  if (magic === 'FORM' && at(8, 11) === 'AIF') return 'aiff';
  if (magic === 'caff') return 'caf';
  if (at(0, 5) === '#!AMR') return 'amr';
  if (at(0, 3) === 'ID3') return sniffTagged(bytes);
  return sniffFrame(bytes);
}

function sniffOgg(page: string): RecordingKind | undefined {
  if (page.includes('OpusHead')) return 'opus';
  if (page.includes('\x7fFLAC')) return 'flac';
  return page.includes('\x01vorbis') ? 'oga' : undefined;
}

/** Behind the tag, whose length has seven bits in each byte. Most have MP3. */
function sniffTagged(bytes: Buffer): RecordingKind {
  if (bytes.length < ID3_HEADER) return 'mp3';
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, ID3_HEADER);
  const length = (((a & 127) << 7) | (b & 127)) * 16_384 + (((c & 127) << 7) | (d & 127));
  const rest = bytes.subarray(ID3_HEADER + length);
  if (rest.toString('latin1', 0, 4) === 'fLaC') return 'flac';
  return sniffFrame(rest) ?? 'mp3';
}

/** Twelve bits that begin each frame; those of AAC have no layer. */
function sniffFrame(bytes: Buffer): RecordingKind | undefined {
  const [first = 0, second = 0] = bytes;
  if (first !== 0xff || (second & 0xe0) !== 0xe0) return undefined;
  if ((second & 0xf6) === 0xf0) return 'aac';
  return (second & 0x06) === 0 ? undefined : 'mp3';
}
