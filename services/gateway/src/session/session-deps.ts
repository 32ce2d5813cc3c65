import type { LinkWord } from '@voice-fleet/protocol/link';
import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { SessionLimits } from './limits.ts';
import type { Route } from './link.ts';
import type { MoveCause } from './link-holder.ts';
import type { MeantModel } from './served-model.ts';
import type { SessionSnapshot } from './snapshot.ts';

/** Where a session's output goes: the connection that owns it. */
export interface SessionSink {
  event(event: SessionEvent): void;
  /** The session is over; the sink closes the connection and then the session. */
  end(reason: CloseReason): void;
  /** Something is under way for the client that the session knows nothing of: it is not idle. */
  readonly busy?: boolean;
  /** Stops (true) or resumes (false) reading from the client. */
  holdInput(hold: boolean): void;
  /**
   * An engine has taken all audio of the session before this sample, for those that send no faster than it takes. `workMs`:
   * the time that the open utterance took it so far, where known.
   */
  onTaken?(sample: number, workMs: number | undefined): void;
  /**
   * An utterance begins, or with `resumed` goes on that another gateway has begun. Returns the `traceparent` of the trace that it
   * belongs to; of a resumed one `traceparent` is what that gateway had.
   */
  began?(utterance: BegunUtterance): string | undefined;
  /** The utterance under way is let go without a word. */
  letGo?(utteranceId: string): void;
  /** Words that are told with the next `partial`, for those that must know when each was said. */
  heard?(utteranceId: string, words: readonly LinkWord[]): void;
  /** For log and metrics: this session left its worker, and went on with another after `tookMs`. */
  workerLost(cause: string): void;
  moved(cause: MoveCause, tookMs: number): void;
  /** Of utterances begun with `silenceMs`: the speaker began, or was silent for so long since `sample` of the session. */
  speech?(moment: 'started' | 'ended', utteranceId: string, sample: number): void;
}

export interface BegunUtterance {
  readonly id: string;
  readonly number: number;
  readonly traceparent?: string | undefined;
  readonly resumed: boolean;
}

/** Facts for the log line and the metrics at the end of a session. */
export interface SessionTotals {
  utterances: number;
  /** The session clock. */
  acceptedSamples: number;
  droppedSamples: number;
  workersLost: number;
  moves: number;
}

export interface SessionDeps {
  readonly id: string;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly route: Route;
  readonly sink: SessionSink;
  /** What its client's names of models mean; absent: nothing but themselves. */
  readonly meant?: MeantModel;
  /** A session begun elsewhere, with the text of its open utterance. */
  readonly restored?: {
    readonly snapshot: SessionSnapshot;
    readonly text: string;
    /** Audio booked of it. */
    readonly acceptedSamples: number;
  };
}

export function newTotals(): SessionTotals {
  return { utterances: 0, acceptedSamples: 0, droppedSamples: 0, workersLost: 0, moves: 0 };
}
