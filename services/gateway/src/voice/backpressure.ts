import type { OutboxLoad } from '../ws/outbox.ts';

/** A few spoken phrases: with so much on its way, a reply is not read on. */
const HOLD_CHARS = 1024 * 1024;

/** Whether a client reads too slowly, by how much waits for it; it must catch up to half before it does no more. */
export class Backpressure {
  readonly #threshold: number;
  #active = false;
  #holds = false;
  #passed: (() => void)[] = [];

  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** So many events wait that partials should be rare. */
  get active(): boolean {
    return this.#active;
  }

  /** Returns whether that began or ended. */
  update({ events, chars }: OutboxLoad): 'on' | 'off' | undefined {
    const was = this.#active;
    if (events >= this.#threshold) this.#active = true;
    else if (events < this.#threshold / 2) this.#active = false;
    this.#holds = this.#active || chars > HOLD_CHARS;
    if (!this.#holds) this.open();
    if (was === this.#active) return undefined;
    return this.#active ? 'on' : 'off';
  }

  /** Undefined when the client keeps up; else settles when it has caught up. */
  get relief(): Promise<void> | undefined {
    return this.#holds ? new Promise((resolve) => this.#passed.push(resolve)) : undefined;
  }

  /** Lets all go on that wait: the client has caught up, or is gone. */
  open(): void {
    this.#holds = false;
    for (const resolve of this.#passed.splice(0)) resolve();
  }
}
