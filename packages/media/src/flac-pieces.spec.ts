import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { flacPieces } from './flac-pieces.ts';

const BLOCK = 65_535;

/** Silence: each frame has a whole block in a few bytes. */
function silence(channels: number, frames: number): Buffer {
  const info = Buffer.alloc(34);
  info.writeUInt16BE(BLOCK, 0);
  info.writeUInt16BE(BLOCK, 2);
  info.writeBigUInt64BE((48_000n << 44n) | (BigInt(channels - 1) << 41n) | (15n << 36n), 10);
  const parts = [Buffer.from('fLaC'), Buffer.from([0x80, 0, 0, info.length]), info];
  for (let frame = 0; frame < frames; frame += 1) {
    // Its block's length is behind the head, in 16 bits, less one.
    const head = [0xff, 0xf8, 0x7a, ((channels - 1) << 4) | 0x08, ...numbered(frame), 0xff, 0xfe];
    const bytes = [...head, crc(head, 8, 0x07), ...Array<number>(3 * channels).fill(0)];
    const sum = crc(bytes, 16, 0x8005);
    parts.push(Buffer.from([...bytes, sum >> 8, sum & 0xff]));
  }
  return Buffer.concat(parts);
}

/** As UTF-8 writes it. */
function numbered(frame: number): number[] {
  return frame < 128 ? [frame] : [0xc0 | (frame >> 6), 0x80 | (frame & 63)];
}

function crc(bytes: readonly number[], bits: number, polynomial: number): number {
  const top = 1 << (bits - 1);
  const mask = 2 ** bits - 1;
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << (bits - 8);
    for (let bit = 0; bit < 8; bit += 1)
      sum = (sum & top ? (sum << 1) ^ polynomial : sum << 1) & mask;
  }
  return sum;
}

it('is decoded a few frames at a time, however much they hold', async () => {
  const channels = 8;
  const bytes = silence(channels, 40);
  expect(bytes.length).toBeLessThan(2_000);
  let samples = 0;
  for await (const { channelData, sampleRate } of flacPieces(bytes)) {
    const [first] = channelData;
    expect([channelData.length, sampleRate]).toEqual([channels, 48_000]);
    expect((first?.length ?? 0) * channels).toBeLessThan(2_000_000 + BLOCK * channels);
    samples += first?.length ?? 0;
  }
  expect(samples).toBe(40 * BLOCK);
});

it('is whole, to the sample', async () => {
  let samples = 0;
  for await (const piece of flacPieces(
    readFileSync(new URL('../fixtures/tone.flac', import.meta.url)),
  ))
    samples += piece.channelData[0]?.length ?? 0;
  expect(samples).toBe(8_000);
});
