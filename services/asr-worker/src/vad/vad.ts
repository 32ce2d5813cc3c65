/**
 * What a detector says of one frame. `fromSample` and `untilSample` count from the first sample of the stream. Frames come
 * in order, each some 30 ms long, and without gaps; only where another detector takes over, less than a frame is left out.
 */
export type VadListener = (fromSample: number, untilSample: number, voiced: boolean) => void;

/** The audio of one utterance on its way to a detector. */
export interface VadStream {
  /** PCM16 LE, read at once. */
  push(pcm: Buffer): void;
  /** From now on nothing is told. May be called twice. */
  close(): void;
}

/** Tells audio with a voice from audio without. There is one for a whole worker, which stops it. */
export interface Vad {
  /** `silero`, `webrtc`, `energy`, or what stands in for them in tests. Changes when one falls back to another. */
  readonly name: string;
  /**
   * Each whole frame is told, at once or within half a second of its `push`, whatever happens to the detector meanwhile. The
   * rest at the end, shorter than a frame, is not.
   */
  open(listener: VadListener): VadStream;
  /** Ends what the detector has started; its streams fall silent. May be called twice. Does not reject. */
  stop(): Promise<void>;
}
