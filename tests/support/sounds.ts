/** Sounds that are no voice, and mixes of them: PCM16 LE mono 16 kHz. */

/** The same each time. */
export function whiteNoise(samples: number, rms: number): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  let seed = 12_345;
  for (let at = 0; at < pcm.length; at += 2) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    // Uniform: its deviation is its half width over the root of 3.
    pcm.writeInt16LE(Math.round((seed / 0x3fffffff - 1) * rms * Math.sqrt(3)), at);
  }
  return pcm;
}

/** Clicks as of a switch, 4 ms each. */
export function clicks(samples: number, everySamples: number, amplitude = 12_000): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  for (let from = everySamples; from + 64 <= samples; from += everySamples)
    for (let nth = 0; nth < 64; nth += 1)
      pcm.writeInt16LE((nth % 8 < 4 ? amplitude : -amplitude) * (1 - nth / 64), (from + nth) * 2);
  return pcm;
}

export function mix(first: Buffer, second: Buffer): Buffer {
  const pcm = Buffer.alloc(Math.max(first.length, second.length));
  const at = (buffer: Buffer, byte: number): number =>
    byte < buffer.length ? buffer.readInt16LE(byte) : 0;
  for (let byte = 0; byte < pcm.length; byte += 2) {
    const sum = at(first, byte) + at(second, byte);
    pcm.writeInt16LE(Math.max(-32_768, Math.min(32_767, sum)), byte);
  }
  return pcm;
}

/** From the first to the last sample that stands out of silence. */
export function extent(pcm: Buffer, threshold = 300): { from: number; until: number } {
  let from = -1;
  let until = 0;
  for (let at = 0; at < pcm.length; at += 2) {
    if (Math.abs(pcm.readInt16LE(at)) < threshold) continue;
    if (from < 0) from = at / 2;
    until = at / 2 + 1;
  }
  return { from: Math.max(from, 0), until };
}

export function rms(pcm: Buffer): number {
  let sum = 0;
  for (let at = 0; at < pcm.length; at += 2) sum += pcm.readInt16LE(at) ** 2;
  return Math.sqrt(sum / (pcm.length / 2));
}
