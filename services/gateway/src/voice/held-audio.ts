/** Of what is said before a final came, no more is kept: 10 s. What is too much is let go, the oldest first. */
const MAX_BYTES = 320_000;

/** Audio that nobody can hear yet. */
export class HeldAudio {
  #parts: Buffer[] = [];
  #bytes = 0;

  get empty(): boolean {
    return this.#bytes === 0;
  }

  push(pcm: Buffer): void {
    this.#parts.push(pcm);
    this.#bytes += pcm.length;
    while (this.#bytes > MAX_BYTES) this.#bytes -= this.#parts.shift()?.length ?? 0;
  }

  /** All of it, once. */
  take(): readonly Buffer[] {
    const parts = this.#parts;
    this.clear();
    return parts;
  }

  clear(): void {
    this.#parts = [];
    this.#bytes = 0;
  }
}
