import { VoiceError } from '@voice-fleet/protocol/errors';
import OpenAI, { APIError } from 'openai';
import type { ChatMessage, LlmEngine, StreamOptions } from './engine.ts';

export interface OpenAiSettings {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly model: string;
  readonly maxTokens: number;
  readonly temperature: number;
}

/** A connection that fails is tried once more; a stream that has begun never is. */
const RETRIES = 1;

/** A language model behind an API that is compatible with OpenAI's. */
export class OpenAiEngine implements LlmEngine {
  readonly name = 'openai';
  readonly label = 'remote';
  readonly model: string;
  readonly #settings: OpenAiSettings;
  readonly #client: OpenAI;

  constructor(settings: OpenAiSettings) {
    this.#settings = settings;
    this.model = settings.model;
    this.#client = new OpenAI({
      baseURL: settings.baseUrl,
      apiKey: settings.apiKey,
      // What the client would else read from the environment, past our configuration.
      organization: null,
      project: null,
      maxRetries: RETRIES,
      // It writes replies that it cannot parse to the console.
      logLevel: 'off',
    });
  }

  async *stream(
    messages: readonly ChatMessage[],
    _options: StreamOptions,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    const { model, maxTokens, temperature } = this.#settings;
    try {
      const opening = this.#client.chat.completions.create(
        {
          model,
          messages: messages.map(({ role, content }) => ({ role, content })),
          max_tokens: maxTokens,
          temperature,
          stream: true,
        },
        { signal },
      );
      const chunks = await orAborted(opening, signal);
      let finished = false;
      for await (const chunk of chunks) {
        const choice = chunk.choices[0];
        const text = choice?.delta.content;
        if (text) yield text;
        finished ||= (choice?.finish_reason ?? null) !== null;
      }
      // The client ends such streams as if all were well.
      signal.throwIfAborted();
      if (!finished) throw new VoiceError('llm_failed', { details: { cause: 'unfinished' } });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw asFault(error);
    }
  }
}

/** The client does not hear an abort while it waits to try again, which may be as long as a server asks it to. */
function orAborted<T>(opening: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = (): void => signal.removeEventListener('abort', onAbort);
    opening.then(resolve, reject).finally(settle);
  });
}

/** Without the server's own words: they quote prompts and keys. */
function asFault(error: unknown): VoiceError {
  if (error instanceof VoiceError) return error;
  const isOfApi = error instanceof APIError;
  const cause = isOfApi ? codeOf(error) : 'stream_broken';
  const status = isOfApi ? error.status : undefined;
  return new VoiceError('llm_failed', {
    details: { cause, ...(typeof status === 'number' && { status }) },
  });
}

/** A code is a name or a number. What is none may be anything. */
function codeOf({ code, name }: APIError): string {
  return /^[\w.-]{1,64}$/.test(String(code ?? '')) ? String(code) : name;
}
