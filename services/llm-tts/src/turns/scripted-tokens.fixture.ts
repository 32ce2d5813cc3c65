/** A stream of tokens that a test writes as it goes on. */
export class ScriptedTokens {
  /** Whether it goes on in spite of an abort. */
  isDeaf = false;
  /** The reason of its abort. */
  aborted: unknown;
  opened = 0;
  readonly #steps: (() => string | undefined)[] = [];
  #wake: (() => void) | undefined;

  say(...tokens: string[]): this {
    for (const token of tokens) this.#steps.push(() => token);
    this.#wake?.();
    return this;
  }

  end(): this {
    this.#steps.push(() => undefined);
    this.#wake?.();
    return this;
  }

  fail(error: Error): this {
    this.#steps.push(() => {
      throw error;
    });
    this.#wake?.();
    return this;
  }

  readonly open = (signal: AbortSignal): AsyncIterable<string> => this.#stream(signal);

  async *#stream(signal: AbortSignal): AsyncGenerator<string> {
    this.opened += 1;
    signal.addEventListener('abort', () => {
      this.aborted ??= signal.reason;
      if (!this.isDeaf) this.#wake?.();
    });
    for (;;) {
      if (signal.aborted && !this.isDeaf) return;
      const step = this.#steps.shift();
      if (step === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const token = step();
      if (token === undefined) return;
      yield token;
    }
  }
}
