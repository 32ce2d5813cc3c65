const FIRST_CAPACITY = 16;

/** Frames of equal length that wait to be judged, oldest first, with a mark on each from 0 to 255. Memory grows with what waits. */
export class FrameQueue {
  readonly #frameSamples: number;
  readonly #maxFrames: number;
  #samples: Int16Array;
  /** When each came. */
  #atMs: Float64Array;
  /** What is known of each. */
  #marks: Uint8Array;
  #head = 0;
  #length = 0;

  constructor(frameSamples: number, maxFrames: number) {
    this.#frameSamples = frameSamples;
    this.#maxFrames = maxFrames;
    this.#samples = new Int16Array(FIRST_CAPACITY * frameSamples);
    this.#atMs = new Float64Array(FIRST_CAPACITY);
    this.#marks = new Uint8Array(FIRST_CAPACITY);
  }

  get length(): number {
    return this.#length;
  }

  get full(): boolean {
    return this.#length === this.#maxFrames;
  }

  /** A place for a frame at the end, to be written at once. Must not be called when it is full. */
  add(atMs: number, mark: number): Int16Array {
    if (this.#length === this.#atMs.length) this.#grow();
    const at = (this.#head + this.#length) % this.#atMs.length;
    this.#length += 1;
    this.#atMs[at] = atMs;
    this.#marks[at] = mark;
    return this.#frame(at);
  }

  /** When the first came. */
  get headMs(): number {
    return this.#atMs[this.#head] ?? 0;
  }

  get headMark(): number {
    return this.#marks[this.#head] ?? 0;
  }

  /** The first; good until the next `add`. */
  get headFrame(): Int16Array {
    return this.#frame(this.#head);
  }

  shift(): void {
    this.#head = (this.#head + 1) % this.#atMs.length;
    this.#length -= 1;
  }

  #frame(at: number): Int16Array {
    return this.#samples.subarray(at * this.#frameSamples, (at + 1) * this.#frameSamples);
  }

  #grow(): void {
    const capacity = Math.min(2 * this.#atMs.length, this.#maxFrames);
    const samples = new Int16Array(capacity * this.#frameSamples);
    const atMs = new Float64Array(capacity);
    const marks = new Uint8Array(capacity);
    for (let nth = 0; nth < this.#length; nth += 1) {
      const at = (this.#head + nth) % this.#atMs.length;
      samples.set(this.#frame(at), nth * this.#frameSamples);
      atMs[nth] = this.#atMs[at] ?? 0;
      marks[nth] = this.#marks[at] ?? 0;
    }
    [this.#samples, this.#atMs, this.#marks, this.#head] = [samples, atMs, marks, 0];
  }
}
