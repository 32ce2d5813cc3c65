import type { Word } from '@voice-fleet/speech/words';
import type { FaultCause } from '../engines/engine.ts';

export interface RunnerUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** A stream that failed under way. */
export interface RunnerFault {
  readonly cause: FaultCause;
  /** For logs: how, in the engine's words. */
  readonly message: string;
  /** Faults in a row, this one included. */
  readonly attempt: number;
  /** False: this was one too many, and the utterance fails. */
  readonly recovering: boolean;
}

/** What a runner tells its owner. Word times are on the session clock. */
export interface RunnerListener {
  onWords(words: readonly Word[], tail: string): void;
  onFinal(words: readonly Word[], usage: RunnerUsage): void;
  onDropped(samples: number): void;
  onFailed(cause: unknown): void;
  /** The engine has taken audio up to this sample, the last of it in `tookMs`; or it was dropped. */
  onTaken(untilSample: number, tookMs: number): void;
  /** All words that end before this sample were told. Never goes back; for who may have to go on elsewhere. */
  onSettled?(untilSample: number): void;
  onSegmentRolled(): void;
  onFault(fault: RunnerFault): void;
  /** A new stream has heard all that the one which failed had, `latencyMs` after the first fault. */
  onRecovered(latencyMs: number): void;
}
