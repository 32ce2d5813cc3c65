import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ChatRequest } from '@voice-fleet/protocol/openai-rest';
import { isVendorChatModel } from '@voice-fleet/protocol/vendor-models';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ModelAliases } from '@voice-fleet/runtime/model-env';
import type { LlmEngine } from '../llm/engine.ts';
import { askForChat, type ChatServer, readText } from './chat-upstream.ts';
import { type Completion, completionOf } from './rules-completion.ts';

export interface ChatServiceDeps {
  readonly clock: Clock;
  readonly aliases: ModelAliases;
  /** Undefined: the rules answer. */
  readonly text: ChatServer | undefined;
  /** Answers whatever has audio in it; undefined: nothing here listens. */
  readonly audio: ChatServer | undefined;
  readonly rules: LlmEngine;
  /** The rules also answer when the model fails before it answers anything. */
  readonly fallback: boolean;
  readonly onFallback: (error: unknown) => void;
  /** Of a whole completion. */
  readonly timeoutMs: number;
}

/** A completion that is not streamed is kept as a whole. */
const WHOLE_BYTES_MAX = 16 * 1024 * 1024;

/** Chat completions: of the configured models as they come, else of the built-in rules, which say that they are none. */
export class ChatService {
  readonly #deps: ChatServiceDeps;

  constructor(deps: ChatServiceDeps) {
    this.#deps = deps;
  }

  /** What it answers to, beside the names that other services gave theirs. */
  get models(): readonly string[] {
    const { text, audio, rules } = this.#deps;
    return [...new Set([text?.model, audio?.model, rules.model])].filter(
      (one) => one !== undefined,
    );
  }

  /**
   * A completion that has begun; its parts come as they are made, until the signal aborts. Throws VoiceError: model_not_found, the
   * refusals of the model, llm_failed, llm_timeout. What ends too early throws amid its parts.
   */
  async complete(request: ChatRequest, signal: AbortSignal): Promise<Completion> {
    const { clock, timeoutMs } = this.#deps;
    const late = new AbortController();
    const timer = clock.after(timeoutMs, () => late.abort(new VoiceError('llm_timeout')));
    try {
      const either = AbortSignal.any([signal, late.signal]);
      const { contentType, parts } = await this.#open(request, either);
      return { contentType, parts: until(parts, () => timer.cancel()) };
    } catch (error) {
      timer.cancel();
      throw error;
    }
  }

  async #open(request: ChatRequest, signal: AbortSignal): Promise<Completion> {
    const { clock, rules, fallback, onFallback } = this.#deps;
    const hasAudio = request.messages.some(hasInputAudio);
    const server = this.#serverFor(request.model, hasAudio);
    if (server === undefined) return completionOf(rules, request, clock, signal);
    try {
      return await passed(await askForChat(server, request, signal), request, signal);
    } catch (error) {
      const isItsFault = error instanceof VoiceError && error.code === 'llm_failed';
      if (signal.aborted || !isItsFault || !fallback || hasAudio) throw error;
      onFallback(error);
      return completionOf(rules, request, clock, signal);
    }
  }

  /** Undefined: the rules are meant. */
  #serverFor(requested: string, hasAudio: boolean): ChatServer | undefined {
    const { text, audio, rules, aliases } = this.#deps;
    const model = aliases.get(requested) ?? requested;
    const isVendors = isVendorChatModel(model);
    if (hasAudio) {
      if (audio && (isVendors || model === audio.model)) return audio;
      if (text && model === text.model) return text;
      throw notServed('No model that takes audio goes by this name here.');
    }
    if (model === rules.model) return undefined;
    if (isVendors || model === text?.model) return text;
    if (model === audio?.model) return audio;
    throw notServed('There is no such language model here.');
  }
}

function notServed(message: string): VoiceError {
  return new VoiceError('model_not_found', { message, details: { parameter: 'model' } });
}

function hasInputAudio({ content }: ChatRequest['messages'][number]): boolean {
  return Array.isArray(content) && content.some(({ type }) => type === 'input_audio');
}

/** The answer of a server, byte for byte; where it is one whole, that is awaited, so that its end is certain. */
async function passed(
  response: Response,
  request: ChatRequest,
  signal: AbortSignal,
): Promise<Completion> {
  if (request.stream === true)
    return {
      contentType: response.headers.get('content-type') ?? 'text/event-stream; charset=utf-8',
      parts: textOf(response, signal),
    };
  try {
    const text = await readText(response, WHOLE_BYTES_MAX);
    JSON.parse(text);
    return { contentType: 'application/json; charset=utf-8', parts: once(text) };
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof VoiceError
      ? error
      : new VoiceError('llm_failed', { details: { cause: 'stream_broken' } });
  }
}

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

async function* textOf(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    for await (const part of response.body ?? []) yield decoder.decode(part, { stream: true });
  } catch {
    signal.throwIfAborted();
    throw new VoiceError('llm_failed', { details: { cause: 'stream_broken' } });
  }
}

async function* until(parts: AsyncIterable<string>, over: () => void): AsyncGenerator<string> {
  try {
    yield* parts;
  } finally {
    over();
  }
}
