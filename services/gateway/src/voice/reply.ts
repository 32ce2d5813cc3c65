import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

export interface ReplyDeps {
  readonly clock: Clock;
  /** A reply of which nothing comes for so long has failed. */
  readonly gapMs: number;
  /** While it does not settle, no more of the reply is read. Undefined: read on. */
  readonly relief: () => Promise<void> | undefined;
}

/** What comes of a reply. */
export interface ReplyTaker<E> {
  take(event: E): void;
  /** Nothing more comes: because of `error`, if there is one. Once, and not after an abort. */
  end(error: unknown): void;
}

/** One reply that comes piece by piece. Aborted, it tells nothing more, at once. */
export class Reply<E> {
  /** Settles when all that was done for it is over. */
  readonly settled: Promise<void>;
  readonly #deps: ReplyDeps;
  readonly #taker: ReplyTaker<E>;
  readonly #abort = new AbortController();
  #over = false;
  #gap: Timer | undefined;

  constructor(
    open: (signal: AbortSignal) => AsyncIterable<E>,
    taker: ReplyTaker<E>,
    deps: ReplyDeps,
  ) {
    this.#deps = deps;
    this.#taker = taker;
    this.settled = this.#run(open);
  }

  abort(): void {
    this.#over = true;
    this.#gap?.cancel();
    this.#abort.abort(new Error('the reply is not wanted any more'));
  }

  async #run(open: (signal: AbortSignal) => AsyncIterable<E>): Promise<void> {
    const { signal } = this.#abort;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#watch();
    try {
      for await (const event of open(signal)) {
        if (this.#over) return;
        this.#gap?.cancel();
        this.#taker.take(event);
        const relief = this.#over ? undefined : this.#deps.relief();
        if (relief) await Promise.race([relief, aborted]);
        if (this.#over) return;
        this.#watch();
      }
      this.#end(undefined);
    } catch (error) {
      this.#end(error);
    }
  }

  #watch(): void {
    const { clock, gapMs } = this.#deps;
    this.#gap = clock.after(gapMs, () => {
      this.#end(new VoiceError('llm_failed', { cause: `nothing came for ${gapMs} ms` }));
      this.abort();
    });
  }

  #end(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#gap?.cancel();
    this.#taker.end(error);
  }
}
