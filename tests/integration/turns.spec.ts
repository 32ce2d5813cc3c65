import { afterEach, describe, expect, it } from '@jest/globals';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { lastText, tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { stopwatch } from '../support/stopwatch.ts';
import { replyText, Turns, turn } from '../support/turns.ts';
import { until } from '../support/until.ts';

let turns: Turns;
afterEach(() => turns[Symbol.asyncDispose]());

const REPLY = 'It is late. Go to bed now.';
/** What was asked of the model, without what it is told first. */
const asked = (call = turns.chat.last): unknown[] =>
  call.messages.slice(1).map(({ content }) => content);
const types = (events: readonly TurnEvent[]): string[] => events.map(({ type }) => type);

describe('a turn', () => {
  it('is answered with the tokens of the configured server, and then done once (P17, P19)', async () => {
    turns = await Turns.start({
      env: {
        OPENAI_API_KEY: 'sk-1',
        OPENAI_MODEL: 'tiny',
        OPENAI_MAX_TOKENS: '99',
        OPENAI_TEMPERATURE: '0.2',
        LLM_SYSTEM_PROMPT: 'Be brief.',
      },
    });
    turns.chat.next({ tokens: tokensOf(REPLY) });
    const events = await turns.take({ text: 'What now?' });
    expect(events).toEqual([
      { type: 'started', model: 'tiny' },
      ...tokensOf(REPLY).map((text) => ({ type: 'token', text, done: false })),
      { type: 'token', text: '', done: true },
      { type: 'complete', outcome: 'spoken', tokens: 7, phrases: 0 },
    ]);
    const { body, exchange } = turns.chat.last;
    expect(body).toEqual({
      model: 'tiny',
      max_tokens: 99,
      temperature: 0.2,
      stream: true,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What now?' },
      ],
    });
    expect(exchange.headers.authorization).toBe('Bearer sk-1');
  });

  it('comes token by token, each as soon as it is there (P17)', async () => {
    turns = await Turns.start();
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    turns.chat.next({
      tokens: (async function* () {
        yield 'One';
        await released;
        yield ' two.';
      })(),
    });
    const events = turns.events({});
    expect((await events.next()).value).toMatchObject({ type: 'started' });
    expect((await events.next()).value).toMatchObject({ text: 'One' });
    release();
    expect((await events.next()).value).toMatchObject({ text: ' two.' });
    expect((await events.next()).value).toMatchObject({ done: true });
    expect((await events.next()).value).toMatchObject({ type: 'complete' });
    expect((await events.next()).done).toBe(true);
  });

  it('is answered by the built-in rules, and labelled so, when no model is configured (P18)', async () => {
    turns = await Turns.start({ llm: false });
    const took = stopwatch();
    const events: TurnEvent[] = [];
    let firstMs: number | undefined;
    for await (const event of turns.events({ text: 'what is two plus two' })) {
      if (event.type === 'token') firstMs ??= took();
      events.push(event);
    }
    expect(events[0]).toEqual({ type: 'started', model: 'builtin-rules' });
    expect(replyText(events)).toMatch(/^2 plus 2 is 4\. /);
    const tokens = events.filter((event) => event.type === 'token');
    expect(tokens.length).toBeGreaterThan(5);
    expect(tokens.filter(({ done }) => done)).toEqual([tokens.at(-1)]);
    expect(firstMs).toBeLessThan(300);
    expect(turns.chat.calls).toEqual([]);
    expect(await turns.metrics()).toContain(
      'voice_llm_tts_turns_total{outcome="spoken",model="builtin-rules"} 1',
    );
    const ready = await fetch(`http://127.0.0.1:${turns.service.internalPort}/readyz`);
    expect(await ready.json()).toMatchObject({ ready: true, model: 'builtin-rules', turns: 0 });
  });

  it('may be answered by the rules when the model fails before its first token, where that is wished', async () => {
    turns = await Turns.start({ env: { LLM_USE_LOCAL_FALLBACK: 'true', OPENAI_MODEL: 'tiny' } });
    turns.chat.next({ tokens: [], fault: { kind: 'error', status: 400 } });
    const events = await turns.take({ text: 'hello' });
    expect(events[0]).toEqual({ type: 'started', model: 'builtin-rules' });
    expect(replyText(events)).toMatch(/^Hello\. No language model is configured/);
    expect(replyText(await turns.take({ text: 'hello again' }))).toContain('You said this');
    expect(turns.logged).toContainEqual(expect.objectContaining({ event: 'llm_fallback' }));
  });

  it('is answered by the rules in time though the model asks to be left alone for long', async () => {
    turns = await Turns.start({
      env: { LLM_USE_LOCAL_FALLBACK: 'true', STREAM_LLM_TIMEOUT_S: '5' },
    });
    turns.chat.next({ tokens: [], fault: { kind: 'error', status: 429, retryAfterS: 20 } });
    const events = await turns.take({ text: 'hello' });
    expect(events[0]).toEqual({ type: 'started', model: 'builtin-rules' });
    expect(events.at(-1)).toMatchObject({ type: 'complete', outcome: 'spoken' });
    expect(turns.chat.calls).toHaveLength(1);
  });

  it('survives a connection that fails once, before any token', async () => {
    turns = await Turns.start();
    turns.chat.next({ tokens: [], fault: { kind: 'cut' } });
    const events = await turns.take({ text: 'Well?' });
    expect(types(events).at(-1)).toBe('complete');
    expect(replyText(events)).toContain('You said this: Well?');
    expect(turns.chat.calls).toHaveLength(2);
  });

  it.each([
    ['answers with an error', { kind: 'error', status: 401, message: 'key sk-secret' }, 0],
    ['cuts the connection', { kind: 'cut' }, 7],
    ['sends what is no JSON', { kind: 'malformed' }, 7],
    ['sends an error amid the stream', { kind: 'error_event', message: 'about my cat' }, 7],
    ['ends without an end', { kind: 'unfinished' }, 7],
  ] as const)('fails when the model %s', async (_what, fault, sent) => {
    turns = await Turns.start();
    turns.chat.next({ tokens: sent === 0 ? [] : tokensOf(REPLY), fault });
    const events = await turns.take({ text: 'My cat is ill.' });
    expect(events.slice(-2)).toEqual([
      { type: 'error', code: 'llm_failed', message: expect.any(String) },
      { type: 'complete', outcome: 'failed', tokens: sent, phrases: 0 },
    ]);
    expect(types(events)).toHaveLength(sent + 3);
    expect(events).not.toContainEqual(expect.objectContaining({ done: true }));
    await turns.take({ text: 'Again.' });
    expect(asked()).toEqual(['Again.']);
    const log = JSON.stringify(turns.logged);
    for (const secret of ['sk-secret', 'cat', 'bed']) expect(log).not.toContain(secret);
    expect(log).toContain('"error":"llm_failed"');
  });

  it('is remembered by those after it in its conversation alone (P23, P28)', async () => {
    turns = await Turns.start();
    turns.chat.reply = (call) => ({
      tokens: tokensOf(`About ${lastText(call)}: yes. Indeed.`),
      gapMs: 2,
    });
    const both = async (text: string): Promise<string[]> =>
      Promise.all(
        ['a', 'b'].map(async (conversation) =>
          replyText(await turns.take({ conversation, text: `${text} of ${conversation}` })),
        ),
      );
    expect(await both('cats')).toEqual([
      'About cats of a: yes. Indeed.',
      'About cats of b: yes. Indeed.',
    ]);
    expect(await both('dogs')).toEqual([
      'About dogs of a: yes. Indeed.',
      'About dogs of b: yes. Indeed.',
    ]);
    const [, , ...second] = turns.chat.calls;
    expect(second.map(asked).sort()).toEqual(
      ['a', 'b'].map((one) => [
        `cats of ${one}`,
        `About cats of ${one}: yes. Indeed.`,
        `dogs of ${one}`,
      ]),
    );
    await turns.take({ tenant: 'other', conversation: 'a', text: 'Hm?' });
    expect(asked()).toEqual(['Hm?']);
  });

  it('sends ten messages at the most, of a conversation of any length (P24)', async () => {
    turns = await Turns.start();
    for (let index = 0; index < 8; index++) {
      turns.chat.next({ tokens: [`answer ${index}.`] });
      await turns.take({ text: `question ${index}` });
    }
    expect(Math.max(...turns.chat.calls.map(({ messages }) => messages.length))).toBe(10);
    expect(asked()).toEqual([
      ...[3, 4, 5, 6].flatMap((index) => [`question ${index}`, `answer ${index}.`]),
      'question 7',
    ]);
  });
});

describe('POST /v1/turns', () => {
  it.each([
    ['no JSON', '{', 400, 'invalid_message'],
    ['no object', [], 400, 'invalid_message'],
    ['a text that is missing', { tenant: 't', conversation: 'c' }, 400, 'invalid_message'],
    ['an empty text', turn({ text: '' }), 400, 'invalid_message'],
    ['a field nobody knows', { ...turn({}), mood: 'good' }, 400, 'invalid_message'],
    ['a text that is too long', turn({ text: 'x'.repeat(32_769) }), 400, 'invalid_message'],
    ['a body that is too long', turn({ text: 'x'.repeat(300_000) }), 413, 'message_too_large'],
  ])('refuses %s', async (_what, body, status, code) => {
    turns = await Turns.start();
    const response = await fetch(`${turns.url}/v1/turns`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, message: expect.any(String) } });
    expect(turns.chat.calls).toEqual([]);
  });

  it('answers 503 with Retry-After when as many turns are under way as may be', async () => {
    turns = await Turns.start({ env: { LLM_TTS_MAX_TURNS: '1' } });
    turns.chat.next({ tokens: ['On'], fault: { kind: 'stall' } });
    const abort = new AbortController();
    const first = turns.events({}, abort.signal);
    await first.next();
    const refused = await turns.post(turn({}));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ error: { code: 'at_capacity' } });
    abort.abort();
    await until(async () => (await turns.post(turn({}))).ok, 'the next turn is taken');
  });
});
