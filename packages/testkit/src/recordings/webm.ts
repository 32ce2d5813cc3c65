/** A track as WebM tells of it. */
export interface WebmTrack {
  readonly codec: string;
  readonly codecPrivate: Uint8Array;
  readonly sampleRate: number;
  readonly channels: number;
}

/** An element: its id, its length in eight bytes, its parts. */
export function element(id: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(body.length) | (1n << 56n));
  return Buffer.concat([idOf(id), length, body]);
}

/** A file with one track; each block is what follows its track, time and flags. */
export function webmOf(track: WebmTrack, blocks: readonly Buffer[]): Buffer {
  const text = (id: number, value: string): Buffer => element(id, Buffer.from(value, 'latin1'));
  const number = (id: number, value: number): Buffer => element(id, Buffer.of(value));
  const rate = Buffer.alloc(8);
  rate.writeDoubleBE(track.sampleRate);
  const audio = element(0xe1, element(0xb5, rate), number(0x9f, track.channels));
  const entry = element(
    0xae,
    number(0xd7, 1),
    number(0x83, 2),
    text(0x86, track.codec),
    element(0x63a2, track.codecPrivate),
    audio,
  );
  return Buffer.concat([
    element(0x1a45dfa3, text(0x4282, 'webm')),
    Buffer.from('1853806701ffffffffffffff', 'hex'),
    element(0x1654ae6b, entry),
    Buffer.from('1f43b67501ffffffffffffff', 'hex'),
    ...blocks,
  ]);
}

/** One frame in a block. */
export const simpleBlock = (frame: Uint8Array): Buffer =>
  element(0xa3, Buffer.of(0x81, 0, 0, 0), frame);

/** Frames of one length in a block, with nothing between them. */
export const lacedBlock = (frames: readonly Uint8Array[]): Buffer =>
  element(0xa3, Buffer.of(0x81, 0, 0, 0x04, frames.length - 1), ...frames);

function idOf(id: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id);
  return bytes.subarray(bytes.findIndex((byte) => byte > 0));
}
