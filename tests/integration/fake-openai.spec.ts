import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChatReply, FakeChat, tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeOpenAi } from '@voice-fleet/testkit/fake-openai/fake-openai';
import OpenAI, { APIConnectionError, APIError } from 'openai';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

/** The stub against OpenAI's own client, which knows the wire. */
describe('the fake of OpenAI', () => {
  let chat: FakeChat;
  let fake: FakeOpenAi;
  let client: OpenAI;
  beforeEach(async () => {
    chat = new FakeChat();
    fake = await FakeOpenAi.start({ chat, apiKey: 'sk-test' });
    client = new OpenAI({
      baseURL: fake.baseUrl,
      apiKey: 'sk-test',
      maxRetries: 0,
      logLevel: 'off',
    });
  });
  afterEach(() => fake.stop());

  async function* tokens(reply: ChatReply, signal?: AbortSignal): AsyncGenerator<string> {
    chat.next(reply);
    const stream = await client.chat.completions.create(
      { model: 'm', stream: true, messages: [{ role: 'user', content: 'Good day.' }] },
      signal ? { signal } : {},
    );
    for await (const chunk of stream) {
      const text = chunk.choices[0]?.delta.content;
      if (text) yield text;
    }
  }

  async function failure(reply: ChatReply): Promise<{ read: string[]; error: unknown }> {
    const read: string[] = [];
    try {
      for await (const token of tokens(reply)) read.push(token);
    } catch (error) {
      return { read, error };
    }
    throw new Error('nothing failed');
  }

  it('streams the tokens that were scripted, and keeps what was asked', async () => {
    const read: string[] = [];
    for await (const token of tokens({ tokens: tokensOf('One two. Three.') })) read.push(token);
    expect(read).toEqual(['One', ' two.', ' Three.']);
    expect(chat.last.messages).toEqual([{ role: 'user', content: 'Good day.' }]);
    expect(chat.last.exchange.headers.authorization).toBe('Bearer sk-test');
    await chat.last.exchange.closed;
    expect(chat.last.exchange.abortedMs).toBeUndefined();
  });

  it('answers whole when no stream is asked for', async () => {
    const reply = await client.chat.completions.create({
      model: 'm',
      messages: [{ role: 'user', content: 'Good day.' }],
    });
    expect(reply.choices[0]?.message.content).toBe('You said this: Good day.. That was all of it.');
  });

  it('refuses another key as OpenAI does', async () => {
    const stranger = new OpenAI({ baseURL: fake.baseUrl, apiKey: 'sk-other', maxRetries: 0 });
    const asked = stranger.chat.completions.create({ model: 'm', messages: [] });
    await expect(asked).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  it('answers with an error in OpenAI’s form', async () => {
    const { error } = await failure({
      tokens: [],
      fault: { kind: 'error', status: 429, code: 'rate_limit_exceeded', retryAfterS: 7 },
    });
    expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
    expect((error as APIError).headers?.get('retry-after')).toBe('7');
  });

  it.each([
    ['a cut connection', { kind: 'cut' }, 'TypeError'],
    ['a chunk that is no JSON', { kind: 'malformed' }, 'SyntaxError'],
    ['an error within the stream', { kind: 'error_event', message: 'out of memory' }, 'Error'],
  ] as const)('fails amid a reply with %s', async (_what, fault, name) => {
    const { read, error } = await failure({ tokens: ['One', ' two'], fault });
    expect(read).toEqual(['One', ' two']);
    // Errors of undici are of another realm than Jest's.
    expect((error as Error).name).toBe(name);
  });

  it('cuts a connection before it has answered', async () => {
    const { error } = await failure({ tokens: [], fault: { kind: 'cut' } });
    expect(error).toBeInstanceOf(APIConnectionError);
  });

  it.each([
    ['says nothing', { kind: 'silent' }, 0],
    ['stalls', { kind: 'stall' }, 2],
    ['never ends', { kind: 'endless' }, 50],
  ] as const)(
    '%s until the client has gone, and knows when that was',
    async (_what, fault, least) => {
      const controller = new AbortController();
      const read: string[] = [];
      const done = (async () => {
        for await (const token of tokens({ tokens: ['One', ' two'], fault }, controller.signal))
          read.push(token);
      })().catch(() => undefined);
      await until(() => read.length >= least && chat.calls.length === 1, 'the reply is under way');
      const took = stopwatch();
      controller.abort();
      await chat.last.exchange.closed;
      expect(took()).toBeLessThan(100);
      expect(chat.last.exchange.abortedMs).toBeDefined();
      await done;
    },
  );
});
