/** A box of an MP4 file; `body` lies between its head and its end. */
export interface Mp4Box {
  readonly type: string;
  /** Of its head. */
  readonly start: number;
  readonly body: Buffer;
  readonly end: number;
}

/** The boxes between two places of a file, up to the first that is none. The last may be cut off. */
export function* boxesIn(bytes: Buffer, from = 0, to = bytes.length): Generator<Mp4Box> {
  let start = from;
  while (start + 8 <= to) {
    let size = bytes.readUInt32BE(start);
    let head = 8;
    if (size === 1 && start + 16 <= to) {
      size = Number(bytes.readBigUInt64BE(start + 8));
      head = 16;
    } else if (size === 0) size = to - start;
    if (size < head) return;
    const end = Math.min(to, start + size);
    const body = bytes.subarray(start + head, end);
    yield { type: bytes.toString('latin1', start + 4, start + 8), start, body, end };
    start += size;
  }
}

/** Body of the first box on a path, such as `mdia`, `minf`, `stbl`. */
export function boxAt(bytes: Buffer | undefined, ...path: readonly string[]): Buffer | undefined {
  let body = bytes;
  for (const type of path) {
    if (body === undefined) return undefined;
    let found: Buffer | undefined;
    for (const box of boxesIn(body)) {
      if (box.type !== type) continue;
      found = box.body;
      break;
    }
    body = found;
  }
  return body;
}

/** A box with its head. */
export function box(type: string, ...parts: readonly (Uint8Array | undefined)[]): Buffer {
  const head = Buffer.alloc(8);
  const whole = Buffer.concat([head, ...parts.filter((part) => part !== undefined)]);
  whole.writeUInt32BE(whole.length);
  whole.write(type, 4, 'latin1');
  return whole;
}

/** Numbers of four bytes. */
export function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [at, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * at);
  return bytes;
}

/** Rows of a table that has its length at `lengthAt`: as many as it has bytes for, whatever it says. */
export function rowsOf(table: Buffer, lengthAt: number, rowBytes: number): number {
  if (table.length < lengthAt + 4) return 0;
  const fit = Math.floor((table.length - lengthAt - 4) / rowBytes);
  return Math.min(table.readUInt32BE(lengthAt), fit);
}
