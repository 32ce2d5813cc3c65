import { checkChannels, Damaged, placesOf } from './damaged.ts';
import { box, boxAt, boxesIn, rowsOf, words } from './mp4-boxes.ts';
import { fragmentSamples, type Mp4Sample, tableSamples } from './mp4-samples.ts';

/** Samples of a fragment: one of FLAC may hold half a million values in a few bytes. */
const FRAGMENT_SAMPLES = 8;
/** Of PCM a sample is two bytes, so many of them are taken together. */
const PCM_SAMPLES = 4_096;
const COMPRESSED = new Set([
  'mp4a',
  'alac',
  '.mp3',
  'fLaC',
  'Opus',
  'samr',
  'sawb',
  'ac-3',
  'ec-3',
]);
/** Of a frame of ALAC. The usual one has 4096. */
const MAX_ALAC_SAMPLES = 65_536;
const TRACK_ID = 1;
const NO_SOUND = 'it is an MP4 without a track of sound';

/**
 * An MP4 file written anew: its head with the first track of sound, then a few samples at a time. Wherever the index lies, and
 * whatever it says, a decoder is never given more at once, and no table that it would have to believe. Throws Damaged.
 */
export function* mp4Fragments(file: Buffer): Generator<Buffer> {
  const moov = boxAt(file, 'moov');
  if (moov === undefined) throw new Damaged('it is an MP4 without its index, so it is cut off');
  const trak = soundTrack(moov);
  const stbl = boxAt(trak, 'mdia', 'minf', 'stbl');
  const stsd = boxAt(stbl, 'stsd');
  if (stbl === undefined || stsd === undefined || stsd.length < 16) throw new Damaged(NO_SOUND);
  const codec = checkedEntry(stsd);
  yield headOf(moov, trak, stbl, stsd);
  const most = COMPRESSED.has(codec) ? FRAGMENT_SAMPLES : PCM_SAMPLES;
  let pieces: Buffer[] = [];
  for (const [offset, bytes] of onceEach(samplesOf(file, moov, trak, stbl), file.length)) {
    // The file is cut off.
    if (offset + bytes > file.length) break;
    pieces.push(file.subarray(offset, offset + bytes));
    if (pieces.length < most) continue;
    yield fragmentOf(pieces);
    pieces = [];
  }
  if (pieces.length > 0) yield fragmentOf(pieces);
}

function soundTrack(moov: Buffer): Buffer {
  for (const { type, body } of boxesIn(moov)) {
    if (type !== 'trak') continue;
    if (boxAt(body, 'mdia', 'hdlr')?.toString('latin1', 8, 12) === 'soun') return body;
  }
  throw new Damaged(NO_SOUND);
}

/** Looks at what a decoder would make room for. */
function checkedEntry(stsd: Buffer): string {
  const entry = stsd.subarray(8);
  const codec = entry.toString('latin1', 4, 8);
  if (entry.length >= 52)
    checkChannels(entry.readUInt16BE(16) === 2 ? entry.readUInt32BE(48) : entry.readUInt16BE(24));
  for (const at of placesOf('dOps', entry, 8)) checkChannels(entry[at + 5] ?? 0);
  if (codec === 'alac') checkAlac(entry);
  return codec;
}

function checkAlac(entry: Buffer): void {
  for (const at of placesOf('alac', entry, 8)) {
    if (at + 18 > entry.length) return;
    const samples = entry.readUInt32BE(at + 8);
    if (samples > MAX_ALAC_SAMPLES) throw new Damaged(`its frames have ${samples} samples`);
    checkChannels(entry[at + 17] ?? 0);
  }
}

/** All that a decoder needs to know, and no table of samples. */
function headOf(moov: Buffer, trak: Buffer, stbl: Buffer, stsd: Buffer): Buffer {
  const copied = (type: string, body: Buffer | undefined): Buffer | undefined =>
    body && body.length >= 24 ? box(type, body) : undefined;
  const mdia = box(
    'mdia',
    copied('mdhd', boxAt(trak, 'mdia', 'mdhd')),
    box('hdlr', words(0, 0), Buffer.from('soun'), words(0, 0, 0)),
    box('minf', box('stbl', box('stsd', stsd), lengthOf(boxAt(stbl, 'stts')))),
  );
  return box(
    'moov',
    copied('mvhd', boxAt(moov, 'mvhd')),
    box('trak', box('tkhd', words(0, 0, 0, TRACK_ID, 0)), edits(trak), mdia),
    box('mvex', box('trex', words(0, TRACK_ID, 1, 0, 0, 0))),
    gaplessTag(boxAt(moov, 'udta', 'meta')),
  );
}

/** Where the sound begins and ends, if one row tells it: a track that is cut in several is decoded whole. */
function edits(trak: Buffer): Buffer | undefined {
  const elst = boxAt(trak, 'edts', 'elst');
  if (elst === undefined || elst.length < 8 || elst.readUInt32BE(4) !== 1) return undefined;
  const end = 8 + (elst[0] === 1 ? 20 : 12);
  return elst.length < end ? undefined : box('edts', box('elst', elst.subarray(0, end)));
}

/** How long the track is, in one row: what is beyond it is not heard. */
function lengthOf(stts: Buffer | undefined): Buffer | undefined {
  if (stts === undefined) return undefined;
  let units = 0;
  for (let row = 0; row < rowsOf(stts, 4, 8); row += 1)
    units += stts.readUInt32BE(8 + 8 * row) * stts.readUInt32BE(12 + 8 * row);
  return units > 0 && units < 2 ** 32 ? box('stts', words(0, 1, units, 1)) : undefined;
}

/** What iTunes writes about the silence before and behind; pictures and lyrics are left out. */
function gaplessTag(meta: Buffer | undefined): Buffer | undefined {
  const ilst = boxAt(meta?.subarray(4), 'ilst') ?? Buffer.alloc(0);
  for (const { type, body } of boxesIn(ilst))
    if (type === '----' && body.length < 1_024 && body.includes('iTunSMPB'))
      return box('ilst', box('----', body));
  return undefined;
}

function samplesOf(file: Buffer, moov: Buffer, trak: Buffer, stbl: Buffer): Iterable<Mp4Sample> {
  const stsz = boxAt(stbl, 'stsz');
  const isFragmented =
    boxAt(moov, 'mvex') !== undefined && !((stsz?.length ?? 0) >= 12 && stsz?.readUInt32BE(8));
  if (!isFragmented) return tableSamples(stbl);
  const tkhd = boxAt(trak, 'tkhd');
  const at = tkhd?.[0] === 1 ? 20 : 12;
  return fragmentSamples(file, tkhd && tkhd.length >= at + 4 ? tkhd.readUInt32BE(at) : 0, moov);
}

/** Throws Damaged as soon as the samples have more bytes together than the file. */
function* onceEach(samples: Iterable<Mp4Sample>, fileBytes: number): Generator<Mp4Sample> {
  let told = 0;
  for (const sample of samples) {
    told += Math.max(1, sample[1]);
    if (told > fileBytes) throw new Damaged('its index tells of more than there is');
    if (sample[1] > 0) yield sample;
  }
}

function fragmentOf(samples: readonly Buffer[]): Buffer {
  const moof = (dataAt: number): Buffer => {
    const trun = words(0x201, samples.length, dataAt, ...samples.map(({ length }) => length));
    return box('moof', box('traf', box('tfhd', words(0x2_0000, TRACK_ID)), box('trun', trun)));
  };
  return Buffer.concat([moof(moof(0).length + 8), box('mdat', ...samples)]);
}
