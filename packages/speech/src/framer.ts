/**
 * Cuts a stream of PCM16 LE into frames of one length. Most are handed on where they lie; only one that spans two pieces is
 * put together in a buffer of its own, which the next such frame overwrites.
 */
export class Framer {
  readonly #frameBytes: number;
  readonly #onFrame: (pcm: Buffer, fromByte: number) => void;
  readonly #rest: Buffer;
  #restBytes = 0;

  /** `onFrame` must not keep what it is given. */
  constructor(frameBytes: number, onFrame: (pcm: Buffer, fromByte: number) => void) {
    this.#frameBytes = frameBytes;
    this.#onFrame = onFrame;
    this.#rest = Buffer.allocUnsafeSlow(frameBytes);
  }

  push(pcm: Buffer): void {
    const frameBytes = this.#frameBytes;
    let at = 0;
    if (this.#restBytes > 0) {
      at = pcm.copy(this.#rest, this.#restBytes, 0, frameBytes - this.#restBytes);
      this.#restBytes += at;
      if (this.#restBytes < frameBytes) return;
      this.#restBytes = 0;
      this.#onFrame(this.#rest, 0);
    }
    for (; at + frameBytes <= pcm.length; at += frameBytes) this.#onFrame(pcm, at);
    this.#restBytes = pcm.copy(this.#rest, 0, at);
  }
}
