import { checkChannels, Damaged, placesOf } from './damaged.ts';

const ID = {
  ebml: 0x1a45dfa3,
  segment: 0x18538067,
  tracks: 0x1654ae6b,
  cluster: 0x1f43b675,
  trackEntry: 0xae,
  trackType: 0x83,
  codecPrivate: 0x63a2,
  audio: 0xe1,
  channels: 0x9f,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
} as const;
/** Of elements that go on until another one begins, or to the end. */
const UNKNOWN = -1;
const OPEN_SEGMENT = Buffer.from('1853806701ffffffffffffff', 'hex');
const SOUND = 2;
/** Frames in one block. Writers put 8 into one at the most; a byte of Opus may be 120 ms of each channel. */
const MAX_LACED = 32;
const MAX_TRACKS_BYTES = 1_048_576;

interface Element {
  readonly id: number;
  readonly start: number;
  readonly bodyAt: number;
  /** UNKNOWN for elements without a length. */
  readonly size: number;
}

/**
 * A WebM file in pieces: what it says of its tracks, then one block at a time. So a decoder never has more at once, nor gathers
 * what is no sound. Throws Damaged.
 */
export function* webmBlocks(file: Buffer): Generator<Buffer> {
  let head: Buffer | undefined;
  let at = 0;
  while (at < file.length) {
    const element = elementAt(file, at);
    if (element === undefined) break;
    const { id, start, bodyAt, size } = element;
    if (id === ID.segment || id === ID.cluster) {
      at = bodyAt;
      continue;
    }
    const end = bodyAt + size;
    // The file is cut off.
    if (size === UNKNOWN || end > file.length) break;
    const whole = file.subarray(start, end);
    if (id === ID.ebml) head ??= whole;
    else if (id === ID.tracks) {
      if (whole.length > MAX_TRACKS_BYTES) throw new Damaged('it says too much of its tracks');
      checkTracks(file.subarray(bodyAt, end));
      yield Buffer.concat([head ?? Buffer.alloc(0), OPEN_SEGMENT, whole]);
    } else if (id === ID.simpleBlock || id === ID.blockGroup) {
      checkLacing(file.subarray(bodyAt, end), id);
      yield whole;
    }
    at = end;
  }
}

/** Looks at what a decoder would make room for. */
function checkTracks(tracks: Buffer): void {
  for (const entry of elementsIn(tracks, ID.trackEntry)) {
    const [type] = elementsIn(entry, ID.trackType);
    if (type === undefined || numberOf(type) !== SOUND) continue;
    for (const audio of elementsIn(entry, ID.audio))
      for (const channels of elementsIn(audio, ID.channels)) checkChannels(numberOf(channels));
    for (const codec of elementsIn(entry, ID.codecPrivate)) checkCodec(codec);
  }
}

/** The heads of streams of Opus and Vorbis have their own. */
function checkCodec(bytes: Buffer): void {
  for (const [name, channelsAt] of [
    ['OpusHead', 9],
    ['\x01vorbis', 11],
  ] as const) {
    for (const at of placesOf(name, bytes)) checkChannels(bytes[at + channelsAt] ?? 0);
  }
}

function checkLacing(body: Buffer, id: number): void {
  const blocks = id === ID.simpleBlock ? [body] : [...elementsIn(body, ID.block)];
  if (blocks.length > 1) throw new Damaged('a group of its blocks has more than one');
  for (const block of blocks) {
    const track = lengthOfNumber(block[0] ?? 0);
    const flags = block[track + 2] ?? 0;
    const frames = (flags & 0x06) === 0 ? 1 : (block[track + 3] ?? 0) + 1;
    if (frames > MAX_LACED) throw new Damaged(`one of its blocks has ${frames} frames`);
  }
}

/** Bodies of the elements with an id; what lies behind one that is none is let go. */
function* elementsIn(bytes: Buffer, id: number): Generator<Buffer> {
  let at = 0;
  while (at < bytes.length) {
    const element = elementAt(bytes, at);
    if (element === undefined || element.size === UNKNOWN) return;
    at = element.bodyAt + element.size;
    if (element.id === id) yield bytes.subarray(element.bodyAt, at);
  }
}

function elementAt(bytes: Buffer, start: number): Element | undefined {
  const idBytes = lengthOfNumber(bytes[start] ?? 0);
  const sizeAt = start + idBytes;
  const sizeBytes = lengthOfNumber(bytes[sizeAt] ?? 0);
  const bodyAt = sizeAt + sizeBytes;
  if (idBytes > 4 || sizeBytes > 8 || bodyAt > bytes.length) return undefined;
  // The first bits tell how many bytes it has.
  const first = (bytes[sizeAt] ?? 0) & (0xff >> sizeBytes);
  const told = first * 256 ** (sizeBytes - 1) + numberOf(bytes.subarray(sizeAt + 1, bodyAt));
  const size = told === 2 ** (7 * sizeBytes) - 1 ? UNKNOWN : told;
  return { id: numberOf(bytes.subarray(start, sizeAt)), start, bodyAt, size };
}

/** Bytes of a number whose first byte is this; nine: it is none. */
function lengthOfNumber(first: number): number {
  return Math.clz32(first) - 23;
}

function numberOf(bytes: Buffer): number {
  let number = 0;
  for (const byte of bytes) number = number * 256 + byte;
  return number;
}
