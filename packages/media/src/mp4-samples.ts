import { boxAt, boxesIn, type Mp4Box, rowsOf } from './mp4-boxes.ts';

/** Where a sample of a track lies in its file. */
export type Mp4Sample = readonly [offset: number, bytes: number];

/** The samples of a track as its tables tell them, one after the other: tables can tell of billions in a few bytes. */
export function* tableSamples(stbl: Buffer): Generator<Mp4Sample> {
  const stsz = boxAt(stbl, 'stsz');
  const stsc = boxAt(stbl, 'stsc') ?? Buffer.alloc(0);
  const chunks = chunkTable(stbl);
  if (stsz === undefined || stsz.length < 12 || chunks === undefined) return;
  const same = stsz.readUInt32BE(4);
  const count = same > 0 ? stsz.readUInt32BE(8) : rowsOf(stsz, 8, 4);
  const runs = rowsOf(stsc, 4, 12);
  let run = -1;
  let inChunk = 1;
  let nth = 0;
  for (let chunk = 0; chunk < chunks.count && nth < count; chunk += 1) {
    while (run + 1 < runs && stsc.readUInt32BE(8 + 12 * (run + 1)) <= chunk + 1) {
      run += 1;
      inChunk = stsc.readUInt32BE(12 + 12 * run);
    }
    // What is told of no chunk lies in the last.
    const last = chunk + 1 === chunks.count;
    const until = last ? count : Math.min(count, nth + inChunk);
    let offset = chunks.offset(chunk);
    for (; nth < until; nth += 1) {
      const bytes = same > 0 ? same : stsz.readUInt32BE(12 + 4 * nth);
      yield [offset, bytes];
      offset += bytes;
    }
  }
}

function chunkTable(
  stbl: Buffer,
): { readonly count: number; readonly offset: (chunk: number) => number } | undefined {
  const stco = boxAt(stbl, 'stco');
  if (stco) return { count: rowsOf(stco, 4, 4), offset: (at) => stco.readUInt32BE(8 + 4 * at) };
  const co64 = boxAt(stbl, 'co64');
  if (!co64) return undefined;
  return { count: rowsOf(co64, 4, 8), offset: (at) => Number(co64.readBigUInt64BE(8 + 8 * at)) };
}

/** The samples of a track whose file is written in fragments, as browsers do. */
export function* fragmentSamples(
  file: Buffer,
  trackId: number,
  moov: Buffer,
): Generator<Mp4Sample> {
  const defaultBytes = trackDefault(moov, trackId);
  for (const moof of boxesIn(file)) {
    if (moof.type !== 'moof') continue;
    for (const traf of boxesIn(moof.body)) {
      if (traf.type === 'traf') yield* trafSamples(traf.body, moof, trackId, defaultBytes);
    }
  }
}

function trackDefault(moov: Buffer, trackId: number): number {
  for (const { type, body } of boxesIn(boxAt(moov, 'mvex') ?? Buffer.alloc(0)))
    if (type === 'trex' && body.length >= 20 && body.readUInt32BE(4) === trackId)
      return body.readUInt32BE(16);
  return 0;
}

function* trafSamples(
  traf: Buffer,
  moof: Mp4Box,
  trackId: number,
  defaultBytes: number,
): Generator<Mp4Sample> {
  const tfhd = boxAt(traf, 'tfhd');
  if (tfhd === undefined || tfhd.length < 8 || tfhd.readUInt32BE(4) !== trackId) return;
  const fields = new Fields(tfhd, 8);
  const has = (flag: number): boolean => (tfhd.readUInt32BE(0) & flag) !== 0;
  const base = has(0x1) ? fields.take(8) : moof.start;
  if (has(0x2)) fields.take(4);
  if (has(0x8)) fields.take(4);
  const bytes = has(0x10) ? fields.take(4) : defaultBytes;
  let next = base;
  for (const { type, body } of boxesIn(traf)) {
    if (type !== 'trun' || body.length < 8) continue;
    for (const sample of runSamples(body, base, next, bytes)) {
      yield sample;
      next = sample[0] + sample[1];
    }
  }
}

function* runSamples(
  trun: Buffer,
  base: number,
  next: number,
  defaultBytes: number,
): Generator<Mp4Sample> {
  const flags = trun.readUInt32BE(0);
  const count = trun.readUInt32BE(4);
  const fields = new Fields(trun, 8);
  let offset = flags & 0x1 ? base + (fields.take(4) | 0) : next;
  if (flags & 0x4) fields.take(4);
  for (let nth = 0; nth < count && !fields.isOver; nth += 1) {
    if (flags & 0x100) fields.take(4);
    const bytes = flags & 0x200 ? fields.take(4) : defaultBytes;
    if (flags & 0x400) fields.take(4);
    if (flags & 0x800) fields.take(4);
    if (fields.isOver) return;
    yield [offset, bytes];
    offset += bytes;
  }
}

/** Numbers one after the other, zeros behind the end. */
class Fields {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** More was taken than there is. */
  get isOver(): boolean {
    return this.#at > this.#bytes.length;
  }

  take(bytes: 4 | 8): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.isOver) return 0;
    return bytes === 4 ? this.#bytes.readUInt32BE(at) : Number(this.#bytes.readBigUInt64BE(at));
  }
}
