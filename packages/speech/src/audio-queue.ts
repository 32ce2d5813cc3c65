import { BYTES_PER_SAMPLE } from './pcm.ts';

/** Half a second of audio: room to collect small chunks in, and little enough to keep while idle. */
const SLAB_BYTES = 16_384;
/** From here on a chunk is kept as it came. */
const OWN_PART_BYTES = 4_096;

/** Audio held is `bytes` from `from` to `to`; a slab takes more behind `to`. */
interface Part {
  bytes: Buffer;
  from: number;
  to: number;
  readonly slab: boolean;
}

/**
 * Audio waiting for the engine: bounded, oldest first out, oldest dropped when full. What it keeps in memory is
 * proportional to the audio it holds, however small the chunks and however large the buffers they are views of.
 */
export class AudioQueue {
  #maxSamples: number;
  #parts: Part[] = [];
  #bytes = 0;
  #headSample: number;

  /** `maxSamples` 0: no bound here, the caller bounds what it pushes. */
  constructor(maxSamples: number, fromSample = 0) {
    this.#maxSamples = maxSamples > 0 ? maxSamples : Number.POSITIVE_INFINITY;
    this.#headSample = fromSample;
  }

  /** The bound from the next `push` on. */
  set maxSamples(maxSamples: number) {
    this.#maxSamples = maxSamples > 0 ? maxSamples : Number.POSITIVE_INFINITY;
  }

  get samples(): number {
    return this.#bytes / BYTES_PER_SAMPLE;
  }

  /** Where on the session clock the next sample to be taken lies; dropped audio counts. */
  get headSample(): number {
    return this.#headSample;
  }

  /**
   * Adds audio, which must not change after, and returns how many samples were dropped for it, the oldest first. What is
   * added is kept whole: a chunk longer than the bound says nothing of an engine that is behind.
   */
  push(pcm: Buffer): number {
    if (pcm.length % BYTES_PER_SAMPLE !== 0) throw new RangeError('PCM16 holds half a sample');
    const excess = this.samples + pcm.length / BYTES_PER_SAMPLE - this.#maxSamples;
    const dropped = Math.min(this.samples, Math.max(0, excess));
    this.#skip(dropped * BYTES_PER_SAMPLE);
    this.#append(pcm);
    this.#headSample += dropped;
    return dropped;
  }

  /** The oldest audio, as much as there is up to `maxSamples`; a view unless it came in several parts. */
  take(maxSamples: number): Buffer | undefined {
    const wanted = Math.min(this.#bytes, Math.floor(maxSamples) * BYTES_PER_SAMPLE);
    const head = this.#parts[0];
    if (!head || wanted <= 0) return undefined;
    const taken =
      head.to - head.from >= wanted
        ? head.bytes.subarray(head.from, head.from + wanted)
        : this.#copy(wanted);
    this.#skip(wanted);
    this.#headSample += wanted / BYTES_PER_SAMPLE;
    return taken;
  }

  /** Forgets the audio; the clock moves on over it. */
  clear(): void {
    this.reset(this.#headSample + this.samples);
  }

  /** Forgets the audio and continues at `fromSample`. */
  reset(fromSample: number): void {
    this.#parts = [];
    this.#bytes = 0;
    this.#headSample = fromSample;
  }

  #append(pcm: Buffer): void {
    if (pcm.length === 0) return;
    this.#bytes += pcm.length;
    if (pcm.length >= OWN_PART_BYTES) {
      this.#parts.push(ownPart(pcm));
      return;
    }
    let tail = this.#parts.at(-1);
    if (!tail?.slab || tail.bytes.length - tail.to < pcm.length) {
      // Not from Node's pool, whose buffers are shared with others. What is left of the old slab stays unused.
      tail = { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), from: 0, to: 0, slab: true };
      this.#parts.push(tail);
    }
    tail.to += pcm.copy(tail.bytes, tail.to);
  }

  #copy(wanted: number): Buffer {
    const copy = Buffer.allocUnsafeSlow(wanted);
    let filled = 0;
    for (const part of this.#parts) {
      if (filled === wanted) break;
      const to = Math.min(part.to, part.from + wanted - filled);
      filled += part.bytes.copy(copy, filled, part.from, to);
    }
    return copy;
  }

  #skip(bytes: number): void {
    this.#bytes -= bytes;
    let left = bytes;
    for (let head = this.#parts[0]; head; head = this.#parts[0]) {
      const step = Math.min(left, head.to - head.from);
      head.from += step;
      left -= step;
      if (head.from < head.to) {
        if (!head.slab) this.#parts[0] = compacted(head);
        return;
      }
      // An empty slab at the end is kept: in real time it takes the next chunks.
      if (head.slab && this.#parts.length === 1) return;
      this.#parts.shift();
    }
  }
}

/** Keeps the chunk itself only when that does not hold on to a much larger buffer behind it. */
function ownPart(pcm: Buffer): Part {
  return compacted({ bytes: pcm, from: 0, to: pcm.length, slab: false });
}

/** Copying when less than half is left costs, all in all, no more than copying everything once. */
function compacted(part: Part): Part {
  const held = part.to - part.from;
  if (part.bytes.buffer.byteLength <= Math.max(2 * held, SLAB_BYTES)) return part;
  const bytes = Buffer.allocUnsafeSlow(held);
  part.bytes.copy(bytes, 0, part.from, part.to);
  return { bytes, from: 0, to: held, slab: false };
}
