import type { Clock } from '@voice-fleet/runtime/clock';
import type { ChatMessage, LlmEngine, LlmModel, StreamOptions } from './engine.ts';

export interface FallbackOptions {
  readonly clock: Clock;
  /** Without a token for so long the first engine has failed. */
  readonly patienceMs: number;
  readonly onFallback: (error: unknown) => void;
}

/** One engine, and another that answers when it fails before its first token. */
export class FallbackEngine implements LlmEngine {
  readonly name: string;
  readonly label: LlmModel['label'];
  readonly model: string;
  readonly #first: LlmEngine;
  readonly #second: LlmEngine;
  readonly #options: FallbackOptions;

  constructor(first: LlmEngine, second: LlmEngine, options: FallbackOptions) {
    this.name = first.name;
    this.label = first.label;
    this.model = first.model;
    this.#first = first;
    this.#second = second;
    this.#options = options;
  }

  async *stream(
    messages: readonly ChatMessage[],
    options: StreamOptions,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    const { clock, patienceMs, onFallback } = this.#options;
    const impatient = new AbortController();
    const timer = clock.after(patienceMs, () =>
      impatient.abort(new Error(`no token in ${patienceMs} ms`)),
    );
    let hasBegun = false;
    try {
      const both = AbortSignal.any([signal, impatient.signal]);
      for await (const token of this.#first.stream(messages, options, both)) {
        timer.cancel();
        hasBegun = true;
        yield token;
      }
      if (hasBegun) return;
      signal.throwIfAborted();
      impatient.signal.throwIfAborted();
      onFallback(new Error('it said nothing'));
    } catch (error) {
      if (hasBegun || signal.aborted) throw error;
      onFallback(error);
    } finally {
      timer.cancel();
    }
    options.onModel?.(this.#second);
    yield* this.#second.stream(messages, options, signal);
  }
}
