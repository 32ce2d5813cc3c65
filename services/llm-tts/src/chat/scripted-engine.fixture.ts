import type { ChatEngine, ChatTask } from './chat-engine.ts';

/** A model whose words come when the test says so. One instance, one reply. */
export class ScriptedEngine implements ChatEngine {
  readonly model = 'scripted';
  readonly tasks: ChatTask[] = [];
  /** The signal of the reply under way. */
  signal: AbortSignal | undefined;
  returned = false;
  /** How often a token was asked for. */
  asked = 0;
  readonly #steps: (() => IteratorResult<string>)[] = [];
  #wake: () => void = () => undefined;

  say(...tokens: string[]): this {
    for (const value of tokens) this.#step(() => ({ value, done: false }));
    return this;
  }

  end(): this {
    this.#step(() => ({ value: undefined, done: true }));
    return this;
  }

  fail(error: Error): this {
    this.#step(() => {
      throw error;
    });
    return this;
  }

  /** Heeds no signal, as the worst of models. */
  reply(task: ChatTask, signal: AbortSignal): AsyncIterable<string> {
    this.tasks.push(task);
    this.signal = signal;
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          this.asked += 1;
          for (let step = this.#steps.shift(); ; step = this.#steps.shift()) {
            if (step) return step();
            await new Promise<void>((resolve) => {
              this.#wake = resolve;
            });
          }
        },
        return: async () => {
          this.returned = true;
          return { value: undefined, done: true };
        },
      }),
    };
  }

  #step(step: () => IteratorResult<string>): void {
    this.#steps.push(step);
    this.#wake();
  }
}
