const HEADER_BYTES = 27;
const CRC_AT = 22;
const POLYNOMIAL = 0x04c1_1db7;
const SEGMENT_BYTES = 255;

export interface OggPage {
  readonly serial: number;
  readonly sequence: number;
  /** Samples at 48 kHz up to the end of the last packet. */
  readonly granule: number;
  readonly packets: readonly Uint8Array[];
  readonly isFirst?: boolean;
  readonly isLast?: boolean;
}

/** One page of whole packets (RFC 3533). They may take 255 segments together. */
export function oggPage(page: OggPage): Buffer {
  const { serial, sequence, granule, packets, isFirst = false, isLast = false } = page;
  const lacing = packets.flatMap(({ length }) => lacingOf(length));
  const head = Buffer.alloc(HEADER_BYTES + lacing.length);
  head.write('OggS', 0, 'latin1');
  head[5] = (isFirst ? 2 : 0) | (isLast ? 4 : 0);
  head.writeBigUInt64LE(BigInt(granule), 6);
  head.writeUInt32LE(serial, 14);
  head.writeUInt32LE(sequence, 18);
  head[26] = lacing.length;
  head.set(lacing, HEADER_BYTES);
  const whole = Buffer.concat([head, ...packets]);
  whole.writeUInt32LE(oggSum(whole), CRC_AT);
  return whole;
}

/** A packet ends with the first segment that is not full, be it empty. */
function lacingOf(length: number): number[] {
  const full = Math.floor(length / SEGMENT_BYTES);
  return [...new Array<number>(full).fill(SEGMENT_BYTES), length % SEGMENT_BYTES];
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let rest = index << 24;
  for (let bit = 0; bit < 8; bit += 1) rest = (rest << 1) ^ (rest < 0 ? POLYNOMIAL : 0);
  return rest >>> 0;
});

/** The sum that a page has to have; the four bytes that hold it count as zeros. */
export function oggSum(page: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < page.length; at += 1) {
    const byte = at >= CRC_AT && at < CRC_AT + 4 ? 0 : (page[at] as number);
    sum = (sum << 8) ^ (TABLE[(sum >>> 24) ^ byte] as number);
  }
  return sum >>> 0;
}
