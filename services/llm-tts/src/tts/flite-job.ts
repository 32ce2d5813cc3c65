import type { FliteVoice } from './tts-env.ts';

/** To the thread of flite: one phrase at a time. */
export interface FliteJob {
  readonly id: number;
  readonly text: string;
  readonly voice: FliteVoice;
}

/** Back from it. */
export type FliteResult =
  | { readonly kind: 'spoken'; readonly id: number; readonly wav: Uint8Array }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string };
