import type { Word } from '@voice-fleet/speech/words';
import type { SphinxFiles } from './locate.ts';

/** Where a segment decoded anew goes on: what its listener has already heard. */
export interface Resume {
  readonly lastWord: Word | undefined;
  readonly decodedSamples: number;
}

/** From the worker to the process that decodes. `stream` numbers are never used twice. */
export type ToChild =
  | { readonly kind: 'load'; readonly files: SphinxFiles; readonly decoders: number }
  | {
      readonly kind: 'open';
      readonly stream: number;
      readonly mean: readonly number[] | undefined;
      readonly resume: Resume | undefined;
    }
  | { readonly kind: 'write'; readonly stream: number; readonly pcm: Uint8Array }
  | { readonly kind: 'finish'; readonly stream: number }
  | { readonly kind: 'abort'; readonly stream: number };

/** Back from it. */
export type FromChild =
  | { readonly kind: 'ready' }
  /** Nothing will ever work, and why. */
  | { readonly kind: 'unusable'; readonly reason: string }
  /** The stream waits for a decoder, which may take as long as other people talk; then it has one. */
  | { readonly kind: 'queued' | 'lent'; readonly stream: number }
  /** One block is decoded; `words` are settled. */
  | {
      readonly kind: 'decoded';
      readonly stream: number;
      readonly decodedSamples: number;
      readonly words: readonly Word[];
      readonly tail: string;
    }
  /** Answers one `write`. */
  | { readonly kind: 'taken'; readonly stream: number }
  /** Answers `finish`, after the last words. `mean` is the speaker's, once enough voice was heard. */
  | {
      readonly kind: 'ended';
      readonly stream: number;
      readonly mean: readonly number[] | undefined;
    };
