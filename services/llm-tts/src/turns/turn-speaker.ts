import type { SpeechEvent } from '../tts/phrase-queue.ts';

/** Speaks one reply while it is being written. */
export interface TurnSpeaker {
  /** In the order of the text. Ends behind the last phrase once `finish` was called, or with an abort. */
  readonly events: AsyncIterable<SpeechEvent>;
  /** Whether a phrase was cut so far. */
  readonly hasPhrase: boolean;
  push(token: string): void;
  finish(): void;
  /** Stops at once. */
  abort(): void;
}
