import { traceparentOf } from '@voice-fleet/telemetry/tracing/traceparent';

/** Fields that a client may add to its frames. What is not right is passed over: nobody asked for it. */
interface WishFields {
  readonly traceparent?: unknown;
  readonly report?: unknown;
}

/** What a client wants to be known of its session: the trace that it belongs to, and a report of it at its end. */
export class ClientWishes {
  #trace: string | undefined;
  #next: string | undefined;
  #report = false;

  /** Of the utterance last begun. */
  get trace(): string | undefined {
    return this.#trace;
  }

  get report(): boolean {
    return this.#report;
  }

  /** A frame about the session: its trace is that of the next utterance. */
  session({ traceparent, report }: WishFields): void {
    this.#next = traceparentOf(traceparent) ?? this.#next;
    if (typeof report === 'boolean') this.#report = report;
  }

  /** A frame that begins an utterance. */
  utterance(fields: WishFields): void {
    this.session(fields);
    this.#trace = this.#next;
    this.#next = undefined;
  }
}
