import type { Clock } from '@voice-fleet/runtime/clock';
import { StreamFault } from '../engines/engine.ts';
import { Patience } from './patience.ts';

/**
 * The waits for one engine stream, one after the other and each bounded. There are ten a second for as long as somebody
 * speaks, so a wait leaves nothing behind, and nothing that outlives a wait is raced with it.
 */
export class EngineWait {
  readonly #patience: Patience;
  #reject: ((cause: unknown) => void) | undefined;
  #end: { readonly cause: unknown } | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#patience = new Patience(clock, timeoutMs, () =>
      this.end(new StreamFault('unresponsive', 'the engine did not answer in time')),
    );
  }

  /** Settles as `work` does; rejects when that takes too long, and as soon as the waits are ended. */
  async until(work: Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      work.then(resolve, reject);
      if (this.#end !== undefined) return reject(this.#end.cause);
      this.#reject = reject;
      this.#patience.start();
    });
    this.#reject = undefined;
    this.#patience.stop();
  }

  /** Rejects the wait under way and all to come with `cause`, and stops the timer. */
  end(cause: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { cause };
    this.#patience.close();
    this.#reject?.(cause);
  }
}
