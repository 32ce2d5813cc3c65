import { checkChannels, Damaged } from './damaged.ts';
import { oggSum } from './encode/ogg-page.ts';

const HEAD_BYTES = 27;
const FIRST_OF_STREAM = 0x02;
/** Packets of a page, times channels: one of Opus has up to 120 ms. A page of a second has 50. */
const MAX_PACKETS = 512;
/** Bytes of damaged pages, some of them many times, as a multiple of the file's. */
const MAX_DAMAGE = 2;
/** Where the heads of streams tell of their channels. */
const HEADS = [
  ['OpusHead', 9],
  ['\x01vorbis', 11],
] as const;

/**
 * The whole pages of an Ogg file, one at a time, without what is damaged or lies between them: so a decoder never makes more of it
 * at once than a page holds. Throws Damaged.
 */
export function* oggPages(file: Buffer): Generator<Buffer> {
  let channels = 1;
  let damagedBytes = 0;
  let at = 0;
  while (at + HEAD_BYTES <= file.length) {
    if (file.toString('latin1', at, at + 4) !== 'OggS') {
      at = file.indexOf('OggS', at + 1, 'latin1');
      if (at < 0) return;
      continue;
    }
    const { bytes, packets, isWhole } = pageAt(file, at);
    if (!isWhole) {
      // What begins like a page may do so every few bytes, and each is added up.
      damagedBytes += bytes.length;
      if (damagedBytes > MAX_DAMAGE * file.length) throw new Damaged('it is damaged');
      at += 4;
      continue;
    }
    if ((bytes[5] ?? 0) & FIRST_OF_STREAM) channels = Math.max(channels, channelsOf(bytes));
    if (packets * channels > MAX_PACKETS)
      throw new Damaged(`one of its pages has ${packets} packets`);
    yield bytes;
    at += bytes.length;
  }
}

interface Page {
  readonly bytes: Buffer;
  readonly packets: number;
  /** It is not cut off, and its sum is what it says. */
  readonly isWhole: boolean;
}

function pageAt(file: Buffer, at: number): Page {
  const segments = file[at + 26] ?? 0;
  const bodyAt = at + HEAD_BYTES + segments;
  let end = bodyAt;
  let packets = 0;
  for (const length of file.subarray(at + HEAD_BYTES, bodyAt)) {
    end += length;
    if (length < 255) packets += 1;
  }
  const bytes = file.subarray(at, end);
  const isWhole = end <= file.length && oggSum(bytes) === bytes.readUInt32LE(22);
  return { bytes, packets, isWhole };
}

function channelsOf(page: Buffer): number {
  const packet = page.subarray(HEAD_BYTES + (page[26] ?? 0));
  for (const [name, channelsAt] of HEADS) {
    if (packet.toString('latin1', 0, name.length) !== name) continue;
    const channels = packet[channelsAt] ?? 0;
    checkChannels(channels);
    return channels;
  }
  return 1;
}
