import { randomBytes } from 'node:crypto';
import type { ChatMessage as AskedMessage, ChatRequest } from '@voice-fleet/protocol/openai-rest';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ChatMessage, LlmEngine } from '../llm/engine.ts';

/** The last line of a stream of events. */
const DONE = 'data: [DONE]\n\n';

export interface Completion {
  readonly contentType: string;
  readonly parts: AsyncIterable<string>;
}

/** What the engine answers, in OpenAI's form. Who answered is told in `model` and `system_fingerprint`. */
export function completionOf(
  engine: LlmEngine,
  request: ChatRequest,
  clock: Clock,
  signal: AbortSignal,
): Completion {
  const tokens = engine.stream(request.messages.map(plainly), {}, signal);
  const head = {
    id: `chatcmpl-${randomBytes(12).toString('hex')}`,
    created: Math.floor(clock.wallNow() / 1000),
    model: engine.model,
    system_fingerprint: engine.model,
  };
  const promptTokens = request.messages
    .map((message) => plainly(message).content.match(/\S+/g)?.length ?? 0)
    .reduce((sum, count) => sum + count, 0);
  const usage = (completionTokens: number) => ({
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  });
  if (request.stream !== true)
    return {
      contentType: 'application/json; charset=utf-8',
      parts: whole(),
    };
  return { contentType: 'text/event-stream; charset=utf-8', parts: chunks() };

  async function* whole(): AsyncGenerator<string> {
    const words: string[] = [];
    for await (const token of tokens) words.push(token);
    const message = { role: 'assistant', content: words.join(''), refusal: null };
    yield JSON.stringify({
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
      usage: usage(words.length),
    });
  }

  async function* chunks(): AsyncGenerator<string> {
    const withUsage = request.stream_options?.include_usage === true;
    const line = (rest: object): string => {
      const chunk = { ...head, object: 'chat.completion.chunk', ...rest };
      return `data: ${JSON.stringify(chunk)}\n\n`;
    };
    const choice = (delta: object, finishReason: string | null): string =>
      line({
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
        ...(withUsage && { usage: null }),
      });
    let count = 0;
    yield choice({ role: 'assistant', content: '' }, null);
    for await (const content of tokens) {
      count += 1;
      yield choice({ content }, null);
    }
    yield choice({}, 'stop');
    if (withUsage) yield line({ choices: [], usage: usage(count) });
    yield DONE;
  }
}

/** Its text alone, of one of the roles that there are here. */
function plainly({ role, content }: AskedMessage): ChatMessage {
  const parts = typeof content === 'string' ? [content] : (content ?? []).map(({ text }) => text);
  return {
    role: role === 'assistant' || role === 'user' ? role : 'system',
    content: parts.filter((text) => text !== undefined).join(' '),
  };
}
