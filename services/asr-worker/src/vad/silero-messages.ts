/** One step of some streams. Its buffers change hands with it: whoever has the message owns them. */
export interface SileroStep {
  readonly kind: 'step';
  readonly count: number;
  readonly streams: Uint32Array<ArrayBuffer>;
  readonly samples: Int16Array<ArrayBuffer>;
  /** Written by the thread. */
  readonly voices: Float32Array<ArrayBuffer>;
}

export type ToSilero = SileroStep | { readonly kind: 'forget'; readonly stream: number };
export type FromSilero = SileroStep | { readonly kind: 'ready' };

/** For a transfer instead of a copy. */
export function buffersOf({ streams, samples, voices }: SileroStep): ArrayBuffer[] {
  return [streams.buffer, samples.buffer, voices.buffer];
}
