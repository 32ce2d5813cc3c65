import { checkChannels, Damaged } from './damaged.ts';

const AMR = Buffer.from('#!AMR\n');
const AMR_WB = Buffer.from('#!AMR-WB\n');
/** Bytes of a frame with its head, by its kind; 0: there is no such kind. */
const AMR_FRAMES = [13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1];
const AMR_WB_FRAMES = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1];
/** Bits of a frame's head that are always zero. */
const AMR_ZEROS = 0x83;
const MAX_BITS = 64;
/** A packet of each channel. */
const IMA4_SAMPLES = 64;
const IMA4_BYTES = 34;

/** Throws Damaged unless there is one frame behind the other to the end. Without this any bytes sound like something. */
export function checkAmr(file: Buffer): void {
  const isWide = file.subarray(0, AMR_WB.length).equals(AMR_WB);
  if (!isWide && !file.subarray(0, AMR.length).equals(AMR))
    throw new Damaged('it is AMR with more than one channel, or none');
  const frames = isWide ? AMR_WB_FRAMES : AMR_FRAMES;
  let at = (isWide ? AMR_WB : AMR).length;
  while (at < file.length) {
    const head = file[at] ?? 0;
    const bytes = (head & AMR_ZEROS) === 0 ? (frames[head >> 3] ?? 0) : 0;
    if (bytes === 0) throw new Damaged(`it is damaged: at byte ${at} there is no frame of AMR`);
    at += bytes;
  }
}

/** Throws Damaged for heads of AIFF that tell of what is not read. */
export function checkAiff(file: Buffer): void {
  for (let at = 12; at + 8 <= file.length; ) {
    const size = file.readUInt32BE(at + 4);
    if (file.toString('latin1', at, at + 4) === 'COMM' && at + 26 <= file.length) {
      checkChannels(file.readUInt16BE(at + 8));
      checkBits(file.readUInt16BE(at + 14));
    }
    at += 8 + size + (size % 2);
  }
}

/** Throws Damaged for heads of CAF that tell of what is not read. */
export function checkCaf(file: Buffer): void {
  for (let at = 8; at + 12 <= file.length; ) {
    const type = file.toString('latin1', at, at + 4);
    if (type === 'data') return;
    if (type === 'desc' && at + 44 <= file.length) checkCafHead(file.subarray(at + 12, at + 44));
    at += 12 + Number(file.readBigUInt64BE(at + 4));
  }
}

function checkCafHead(desc: Buffer): void {
  const codec = desc.toString('latin1', 8, 12);
  const [bytes, samples, channels, bits] = [16, 20, 24, 28].map((at) => desc.readUInt32BE(at));
  checkChannels(channels ?? 0);
  if (codec === 'lpcm') checkBits(bits ?? 0);
  if (codec === 'ima4' && (samples !== IMA4_SAMPLES || bytes !== IMA4_BYTES * (channels ?? 0)))
    throw new Damaged(`its packets have ${samples} samples in ${bytes} bytes`);
}

function checkBits(bits: number): void {
  if (bits < 1 || bits > MAX_BITS) throw new Damaged(`its samples have ${bits} bits`);
}
