const KEPT = new WeakMap<Buffer, string>();

/** PCM as frames of the yap dialect carry it; of a piece that many sessions send it is made once. */
export function encodedAudio(pcm: Buffer): string {
  return KEPT.get(pcm) ?? pcm.toString('base64');
}

/** Keeps the form in which it is sent for as long as the piece itself is kept. It must not be changed any more. */
export function keepEncoded(pcm: Buffer): void {
  KEPT.set(pcm, pcm.toString('base64'));
}
