import { ERRORS, VoiceError } from '@voice-fleet/protocol/errors';
import type { TurnEvent, TurnRequest } from '@voice-fleet/protocol/turn';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ChatMessage, LlmEngine, LlmModel } from '../llm/engine.ts';
import type { Conversation } from '../memory/conversation.ts';
import type { SpeechEvent } from '../tts/phrase-queue.ts';
import { merged } from './merge.ts';
import { type TokenLimits, withDeadlines } from './token-deadlines.ts';
import type { TurnSpeaker } from './turn-speaker.ts';

/** All that a turn needs. */
export interface TurnEngines {
  readonly clock: Clock;
  readonly llm: LlmEngine;
  readonly memory: Conversation;
  readonly limits: TokenLimits;
  readonly systemPrompt: string;
  /** Undefined: nobody speaks. */
  readonly speech: TurnSpeech | undefined;
}

export interface TurnSpeech {
  readonly name: string;
  speaker(request: TurnRequest, signal: AbortSignal): TurnSpeaker;
}

/** What is no event, and yet worth a metric or a line. */
export interface TurnWatch {
  onModel(model: LlmModel): void;
  /** Why the model failed. */
  onFault(error: unknown): void;
}

/** Sent to a model at the most, what it is told first and what was just said included. */
export const CONTEXT_MESSAGES = 10;
/** A reply that is longer than any speech has failed. */
const REPLY_CHARS_MAX = 65_536;

/**
 * Answers one turn; TurnEvent tells in which order. Ends without `complete` as soon as `signal` aborts, and by then has stopped
 * model and speech. The turn is remembered after its last token, and only then; not when who asks remembers it.
 */
export async function* runTurn(
  request: TurnRequest,
  engines: TurnEngines,
  watch: TurnWatch,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, void> {
  const turn = new Turn(request, engines, watch, signal);
  try {
    yield* turn.run();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    turn.stop();
  }
}

class Turn {
  readonly #request: TurnRequest;
  readonly #engines: TurnEngines;
  readonly #watch: TurnWatch;
  /** Aborts with the request, and when the turn is over in whatever way. */
  readonly #signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #speech: TurnSpeech | undefined;
  #model: LlmModel;
  #reply = '';
  #tokens = 0;
  #phrases = 0;
  #remembered: Promise<void> | undefined;

  constructor(request: TurnRequest, engines: TurnEngines, watch: TurnWatch, signal: AbortSignal) {
    this.#request = request;
    this.#engines = engines;
    this.#watch = watch;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
    this.#speech = request.speak ? engines.speech : undefined;
    this.#model = engines.llm;
  }

  stop(): void {
    this.#over.abort(new Error('the turn is over'));
  }

  async *run(): AsyncGenerator<TurnEvent, void> {
    const tokens = await this.#ask();
    const speaker = this.#speech?.speaker(this.#request, this.#signal);
    /** A fast model must not make a speaker seem late: of several phrases one is heard before the end of the text is told. */
    let isEndHeld = false;
    for await (const next of merged(['speech', speaker?.events ?? none()], ['token', tokens])) {
      this.#signal.throwIfAborted();
      if (next.from === 'token') {
        if (next.kind === 'value') {
          if (this.#reply.length + next.value.length > REPLY_CHARS_MAX)
            return yield* this.#fail(fault('too_long'), speaker);
          yield* this.#token(next.value, speaker);
          continue;
        }
        if (next.kind === 'failed') return yield* this.#fail(next.error, speaker);
        if (this.#tokens === 0) return yield* this.#fail(fault('empty'), speaker);
        isEndHeld = this.#phrases === 0 && (speaker?.hasPhrase ?? false);
        speaker?.finish();
        if (!isEndHeld) yield* this.#end();
      } else {
        if (next.kind === 'failed') throw next.error;
        if (next.kind === 'value') yield this.#spoke(next.value);
        if (!isEndHeld || (next.kind === 'value' && next.value.type === 'phrase_dropped')) continue;
        isEndHeld = false;
        yield* this.#end();
      }
    }
    await this.#remembered;
    this.#signal.throwIfAborted();
    yield this.#complete('spoken');
  }

  /** The tokens of the reply, with what was said before in the question. */
  async #ask(): Promise<AsyncIterable<string>> {
    const { llm, systemPrompt, clock, limits } = this.#engines;
    const { text, instructions } = this.#request;
    const earlier = await this.#earlier();
    this.#signal.throwIfAborted();
    const messages: ChatMessage[] = [
      { role: 'system', content: instructions ?? systemPrompt },
      ...earlier,
      ...(text === '' ? [] : [{ role: 'user' as const, content: text }]),
    ];
    const onModel = (model: LlmModel): void => {
      this.#model = model;
    };
    return withDeadlines((signal) => llm.stream(messages, { onModel }, signal), {
      clock,
      limits,
      signal: this.#signal,
    });
  }

  /** Who asks knows what was said, or it is remembered here. */
  async #earlier(): Promise<readonly ChatMessage[]> {
    const { tenant, conversation, history } = this.#request;
    if (this.#isTold) return history ?? [];
    return lastPairs(await this.#engines.memory.recall(tenant, conversation));
  }

  get #isTold(): boolean {
    const { history, instructions } = this.#request;
    return history !== undefined || instructions !== undefined;
  }

  *#token(text: string, speaker: TurnSpeaker | undefined): Generator<TurnEvent> {
    if (this.#tokens === 0) yield this.#started();
    this.#tokens += 1;
    this.#reply += text;
    speaker?.push(text);
    yield { type: 'token', text, done: false };
  }

  *#end(): Generator<TurnEvent> {
    yield { type: 'token', text: '', done: true };
    const { tenant, conversation, text } = this.#request;
    // Nobody has gone meanwhile: this goes on only when the event was taken.
    if (this.#signal.aborted || this.#isTold) return;
    const { memory } = this.#engines;
    this.#remembered = memory.remember(tenant, conversation, {
      user: text,
      assistant: this.#reply,
    });
  }

  *#fail(error: unknown, speaker: TurnSpeaker | undefined): Generator<TurnEvent> {
    speaker?.abort();
    this.#watch.onFault(error);
    if (this.#tokens === 0) yield this.#started();
    const isLate = error instanceof VoiceError && error.code === 'llm_timeout';
    const code = isLate ? 'llm_timeout' : 'llm_failed';
    yield { type: 'error', code, message: ERRORS[code].message };
    yield this.#complete('failed');
  }

  #spoke(event: SpeechEvent): TurnEvent {
    if (event.type === 'speech') this.#phrases += 1;
    return event;
  }

  /** Only now, as only now it is sure who answers. */
  #started(): TurnEvent {
    this.#watch.onModel(this.#model);
    const tts = this.#speech?.name;
    return { type: 'started', model: this.#model.model, ...(tts !== undefined && { tts }) };
  }

  #complete(outcome: 'spoken' | 'failed'): TurnEvent {
    return { type: 'complete', outcome, tokens: this.#tokens, phrases: this.#phrases };
  }
}

/** As many as fit beside what the model is told first and what was just said, no question without its answer. */
function lastPairs(earlier: readonly ChatMessage[]): readonly ChatMessage[] {
  const room = CONTEXT_MESSAGES - 2;
  return earlier.slice(-(room - (room % 2)));
}

function fault(cause: string): VoiceError {
  return new VoiceError('llm_failed', { details: { cause } });
}

async function* none(): AsyncGenerator<never> {}
