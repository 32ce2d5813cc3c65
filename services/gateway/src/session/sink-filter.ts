import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { MoveCause } from './link-holder.ts';
import type { SessionSink } from './session-deps.ts';

/** Stands before a sink: all but events goes through it as it is. */
export abstract class SinkFilter implements SessionSink {
  readonly #sink: SessionSink;

  constructor(sink: SessionSink) {
    this.#sink = sink;
  }

  abstract event(event: SessionEvent): void;

  end(reason: CloseReason): void {
    this.#sink.end(reason);
  }

  holdInput(hold: boolean): void {
    this.#sink.holdInput(hold);
  }

  workerLost(cause: string): void {
    this.#sink.workerLost(cause);
  }

  moved(cause: MoveCause, tookMs: number): void {
    this.#sink.moved(cause, tookMs);
  }
}
