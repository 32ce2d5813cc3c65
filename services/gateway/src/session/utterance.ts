import type { ErrorCode } from '@voice-fleet/protocol/errors';

/** What a client's utterance is doing. `failed`: it comes to nothing; its audio is let go until the client ends it. */
export type UtterancePhase = 'open' | 'finishing' | 'failed';

export interface Utterance {
  /** The client's name for it. */
  readonly id: string;
  /** Our number for it, unique in the session, so that late events of a cancelled one with the same id are known. */
  readonly number: number;
  phase: UtterancePhase;
  /** Why it failed: its end is answered with the same error. */
  failure?: ErrorCode;
  /** All text told to the client so far. */
  text: string;
}
