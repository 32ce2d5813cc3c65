import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import type { ChatMessage, LlmEngine, StreamOptions } from '../engine.ts';
import { answerOf } from './intents.ts';

export const RULES_MODEL = 'builtin-rules';

/** Words come no faster than they can be made speech of, else phrases would be left out. */
const WORD_MS = 20;

/** Answers by a few rules where no language model is configured, and says so. */
export class RulesEngine implements LlmEngine {
  readonly name = 'rules';
  readonly label = RULES_MODEL;
  readonly model = RULES_MODEL;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async *stream(
    messages: readonly ChatMessage[],
    _options: StreamOptions,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    const said = messages.filter(({ role }) => role !== 'system');
    const text = said.at(-1)?.content ?? '';
    const reply = answerOf(text, {
      earlier: said.slice(0, -1),
      now: new Date(this.#clock.wallNow()),
    });
    signal.throwIfAborted();
    for (const [index, word] of (reply.match(/\s*\S+/g) ?? []).entries()) {
      if (index > 0) await sleep(this.#clock, WORD_MS, signal);
      yield word;
    }
  }
}
