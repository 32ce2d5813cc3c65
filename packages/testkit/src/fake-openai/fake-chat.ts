import { randomBytes } from 'node:crypto';
import type { FakeExchange, OpenAiFault } from './exchange.ts';
import type { FakeRoute } from './fake-openai.ts';

export interface ChatMessage {
  readonly role: string;
  /** A string, or parts: `{type: 'text', text}`, `{type: 'input_audio', input_audio: {data, format}}`. */
  readonly content: unknown;
}

/** One request for a completion. */
export interface ChatCall {
  readonly exchange: FakeExchange;
  readonly body: Readonly<Record<string, unknown>>;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream: boolean;
  /** Deltas with content that were written so far. */
  sent: number;
}

/** What goes wrong. Without one, the reply ends as it should. */
export type ChatFault =
  /** Headers and a role, and then nothing; with `headers: false` not even these. */
  | { readonly kind: 'silent'; readonly headers?: boolean }
  /** Nothing more after all tokens of the reply. */
  | { readonly kind: 'stall' }
  /** The tokens again and again, `gapMs` apart. */
  | { readonly kind: 'endless' }
  /** An answer in OpenAI's form of an error, before any token. */
  | ({ readonly kind: 'error'; readonly status: number } & Partial<OpenAiFault> & {
        readonly retryAfterS?: number;
      })
  /** The connection ends after all tokens; with none, before the headers. */
  | { readonly kind: 'cut' }
  /** After all tokens comes a chunk that is no JSON, and the connection stays. */
  | { readonly kind: 'malformed' }
  /** After all tokens comes an error within the stream, as servers send that fail amid a reply. */
  | { readonly kind: 'error_event'; readonly message: string }
  /** The stream ends after all tokens, without a reason to finish and without [DONE]. */
  | { readonly kind: 'unfinished' };

export interface ChatReply {
  /** One delta each. */
  readonly tokens: Iterable<string> | AsyncIterable<string>;
  /** Before the first delta with content, default 0. */
  readonly firstMs?: number;
  /** Before each other, default 0: written as fast as they are taken. */
  readonly gapMs?: number;
  readonly finishReason?: 'stop' | 'length' | 'content_filter';
  readonly fault?: ChatFault;
}

/** `POST /v1/chat/completions` of the fake. Replies are those scripted with `next`, then what `reply` says. */
export class FakeChat implements FakeRoute {
  readonly path = '/v1/chat/completions';
  readonly calls: ChatCall[] = [];
  reply: (call: ChatCall) => ChatReply;
  readonly #scripted: ChatReply[] = [];

  constructor(reply: (call: ChatCall) => ChatReply = echo) {
    this.reply = reply;
  }

  /** The next calls are answered so, one each. */
  next(...replies: ChatReply[]): void {
    this.#scripted.push(...replies);
  }

  /** The only call so far, or the last; throws when there was none. */
  get last(): ChatCall {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error('nobody has asked for a completion');
    return call;
  }

  async answer(exchange: FakeExchange): Promise<void> {
    const body = exchange.body as Record<string, unknown> | undefined;
    if (typeof body?.['model'] !== 'string' || !Array.isArray(body['messages']))
      return exchange.error(400, {
        message: 'you must provide a model parameter and messages',
        type: 'invalid_request_error',
      });
    const call: ChatCall = {
      exchange,
      body,
      model: body['model'],
      messages: body['messages'] as ChatMessage[],
      stream: body['stream'] === true,
      sent: 0,
    };
    this.calls.push(call);
    const reply = this.#scripted.shift() ?? this.reply(call);
    const { fault, tokens } = reply;
    if (fault?.kind === 'error') return refuse(exchange, fault);
    if (fault?.kind === 'silent' && fault.headers === false) return exchange.untilGone();
    if (fault?.kind === 'cut' && Array.isArray(tokens) && tokens.length === 0)
      return exchange.cut();
    await (call.stream ? stream(call, reply) : whole(call, reply));
  }
}

/** The text of the last message, its parts joined. */
export function lastText(call: ChatCall): string {
  const content = call.messages.at(-1)?.content;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as { text?: string }[]).map((part) => part.text ?? '').join(' ');
}

/** Two sentences, word by word. */
function echo(call: ChatCall): ChatReply {
  return { tokens: tokensOf(`You said this: ${lastText(call)}. That was all of it.`) };
}

/** Words with the space before each, as models send them. */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S+/g) ?? [];
}

function refuse(exchange: FakeExchange, fault: ChatFault & { kind: 'error' }): void {
  const { status, message, type, code, retryAfterS } = fault;
  exchange.error(
    status,
    {
      message: message ?? 'The server had an error while processing your request.',
      type: type ?? (status < 500 ? 'invalid_request_error' : 'server_error'),
      ...(code !== undefined && { code }),
    },
    retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) },
  );
}

async function* spoken(call: ChatCall, reply: ChatReply): AsyncGenerator<string> {
  const { tokens, firstMs = 0, gapMs = 0, fault } = reply;
  if (fault?.kind === 'silent') await call.exchange.untilGone();
  if (firstMs > 0) await call.exchange.pause(firstMs);
  do {
    for await (const token of tokens) {
      if (call.sent > 0 && gapMs > 0) await call.exchange.pause(gapMs);
      call.exchange.signal.throwIfAborted();
      yield token;
      call.sent += 1;
    }
  } while (fault?.kind === 'endless');
}

async function stream(call: ChatCall, reply: ChatReply): Promise<void> {
  const { exchange, model } = call;
  const { response } = exchange;
  const head = {
    id: `chatcmpl-${randomBytes(12).toString('hex')}`,
    object: 'chat.completion.chunk',
    created: Math.floor(Date.now() / 1000),
    model,
    service_tier: 'default',
    system_fingerprint: 'fp_fake',
  };
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-request-id': `req_${randomBytes(8).toString('hex')}`,
  });
  response.flushHeaders();
  const write = async (data: string): Promise<void> => {
    if (!response.write(`data: ${data}\n\n`))
      await Promise.race([drained(exchange), exchange.closed]);
  };
  const chunk = (delta: object, finishReason: string | null): Promise<void> =>
    write(
      JSON.stringify({
        ...head,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      }),
    );
  const { fault, finishReason = 'stop' } = reply;
  // A chunk, but no token yet.
  await chunk({ role: 'assistant', content: '', refusal: null }, null);
  for await (const content of spoken(call, reply)) await chunk({ content }, null);
  switch (fault?.kind) {
    case 'stall':
      return exchange.untilGone();
    case 'cut':
      return exchange.cut();
    case 'malformed':
      await write('{"id": "chatcmpl-');
      return exchange.untilGone();
    case 'error_event':
      await write(
        JSON.stringify({ error: { message: fault.message, type: 'server_error', code: 500 } }),
      );
      return exchange.untilGone();
    case 'unfinished':
      return void response.end();
    default:
  }
  await chunk({}, finishReason);
  if ((call.body['stream_options'] as { include_usage?: boolean } | undefined)?.include_usage)
    await write(JSON.stringify({ ...head, choices: [], usage: usage(call) }));
  await write('[DONE]');
  response.end();
}

async function whole(call: ChatCall, reply: ChatReply): Promise<void> {
  let content = '';
  for await (const token of spoken(call, reply)) content += token;
  if (reply.fault?.kind === 'stall') await call.exchange.untilGone();
  if (reply.fault !== undefined) return call.exchange.cut();
  call.exchange.json(200, {
    id: `chatcmpl-${randomBytes(12).toString('hex')}`,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: call.model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: reply.finishReason ?? 'stop',
      },
    ],
    usage: usage(call),
  });
}

function usage(call: ChatCall): object {
  const prompt = JSON.stringify(call.messages).split(/\s+/).length;
  return {
    prompt_tokens: prompt,
    completion_tokens: call.sent,
    total_tokens: prompt + call.sent,
  };
}

function drained(exchange: FakeExchange): Promise<void> {
  return new Promise((resolve) => exchange.response.once('drain', resolve));
}
