import type { ReplyMode } from '@voice-fleet/protocol/chunk';
import OpenAI, { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai';
import { type ChatEngine, ChatFault, type ChatTask } from './chat-engine.ts';
import type { ChatUpstream } from './chat-env.ts';

/** Beside the audio in the user's message: these models know no system prompt. */
const PROMPTS = {
  conversation:
    'Answer what is said in this audio, in its language, briefly and as in a spoken conversation. Write the answer only.',
  transcribe:
    'Transcribe this audio word for word, in its language. Write the words that are said only; do not answer them.',
} as const satisfies Record<ReplyMode, string>;

/** A model behind `/chat/completions` that takes `input_audio`: Voxtral under vLLM, or what speaks like it. */
export class OpenAiChatEngine implements ChatEngine {
  readonly model: string;
  readonly #client: OpenAI;

  constructor({ baseUrl, apiKey, model }: ChatUpstream, timeoutMs: number) {
    this.model = model;
    this.#client = new OpenAI({
      baseURL: baseUrl,
      // The client wants one; a server that asks for none ignores it.
      apiKey: apiKey === '' ? 'none' : apiKey,
      organization: null,
      project: null,
      // Somebody waits: a fallback now is worth more than a reply in some seconds.
      maxRetries: 0,
      timeout: timeoutMs,
      logLevel: 'off',
    });
  }

  async *reply(task: ChatTask, signal: AbortSignal): AsyncGenerator<string> {
    let finished = false;
    try {
      for await (const { choices } of await this.#open(task, signal)) {
        const [choice] = choices;
        if (choice?.delta.content) yield choice.delta.content;
        if (choice?.finish_reason) finished = true;
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : faultOf(error);
    }
    if (signal.aborted) throw signal.reason as Error;
    // A connection that was lost in the middle ends like one that was not.
    if (!finished) throw new ChatFault('The reply of the chat model was cut off.');
  }

  #open(task: ChatTask, signal: AbortSignal) {
    return this.#client.chat.completions.create(
      {
        model: this.model,
        stream: true,
        max_tokens: task.maxTokens,
        temperature: task.temperature,
        top_p: task.topP,
        messages: [
          {
            role: 'user',
            content: [
              {
                type: 'input_audio',
                input_audio: { data: task.wav.toString('base64'), format: 'wav' },
              },
              { type: 'text', text: PROMPTS[task.mode] },
            ],
          },
        ],
      },
      { signal },
    );
  }
}

/** Of what the server wrote nothing is kept, not even as a cause: it may quote the prompt or the key, and causes are logged. */
function faultOf(error: unknown): ChatFault {
  if (error instanceof APIConnectionTimeoutError)
    return new ChatFault('The chat model did not answer in time.');
  if (error instanceof APIConnectionError)
    return new ChatFault('The chat model could not be reached.', { cause: error.cause });
  if (error instanceof APIError && error.status !== undefined)
    return new ChatFault(`The chat model answered with status ${error.status}.`);
  return new ChatFault('The chat model failed amid its reply.');
}
