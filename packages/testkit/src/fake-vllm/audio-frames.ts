/** Used-up chunks are dropped when there are so many: removing each by itself would move all that follow. */
const COMPACT_AFTER = 256;
const NO_AUDIO = Buffer.alloc(0);

/** Audio that came in chunks of any size and is read in frames. Nothing is copied but frames that span two chunks. */
export class AudioFrames {
  readonly #chunks: Buffer[] = [];
  /** The first chunk not used up, and how much of it is. */
  #first = 0;
  #offset = 0;
  #bytes = 0;
  /** For frames out of several chunks; made when one is needed. */
  #joined: Buffer | undefined;

  /** Bytes not yet read. */
  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next `bytes` bytes, with zeros where the audio is over; always ask for the same number. Valid until the next call. */
  take(bytes: number): Buffer {
    const chunk = this.#chunks[this.#first];
    if (chunk !== undefined && chunk.length - this.#offset >= bytes) {
      const frame = chunk.subarray(this.#offset, this.#offset + bytes);
      this.#skip(bytes);
      return frame;
    }
    this.#joined ??= Buffer.alloc(bytes);
    let filled = 0;
    while (filled < bytes && this.#bytes > 0) {
      const part = this.#chunks[this.#first] as Buffer;
      const copied = part.copy(this.#joined, filled, this.#offset);
      filled += copied;
      this.#skip(copied);
    }
    this.#joined.fill(0, filled);
    return this.#joined;
  }

  #skip(bytes: number): void {
    this.#offset += bytes;
    this.#bytes -= bytes;
    if (this.#offset < (this.#chunks[this.#first]?.length ?? 0)) return;
    this.#offset = 0;
    // Its memory must not wait for the compaction.
    this.#chunks[this.#first] = NO_AUDIO;
    this.#first += 1;
    if (this.#first === this.#chunks.length || this.#first === COMPACT_AFTER) {
      this.#chunks.splice(0, this.#first);
      this.#first = 0;
    }
  }
}
