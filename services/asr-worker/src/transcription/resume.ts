import type { Word } from '@voice-fleet/speech/words';

/** Where an utterance is taken up that another worker has begun; samples are on the session clock. */
export interface Resume {
  /** All words that end before this were told. */
  readonly heardSample: number;
  /** Up to here the audio was sent before: none of it is dropped. */
  readonly liveSample: number;
  /** The words told last. */
  readonly words: readonly Word[];
}
