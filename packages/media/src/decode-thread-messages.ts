import type { RecordingKind } from './sniff.ts';

/** What the thread begins with. */
export interface DecodeOrder {
  readonly kind: RecordingKind;
  readonly bytes: Uint8Array;
  readonly maxSamples: number;
}

/** The one thing that it says. */
export type Decoded =
  /** PCM16, 16 kHz, mono. */
  | { readonly kind: 'pcm'; readonly pcm: ArrayBuffer }
  | { readonly kind: 'too-long' }
  | { readonly kind: 'undecodable'; readonly why: string };
