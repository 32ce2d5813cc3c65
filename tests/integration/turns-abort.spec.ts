import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { NDJSON, TURNS_PATH } from '@voice-fleet/protocol/turn';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { Turns, turn } from '../support/turns.ts';
import { until } from '../support/until.ts';

jest.setTimeout(30_000);

let turns: Turns;
afterEach(() => turns[Symbol.asyncDispose]());

const REPLY = tokensOf('It is late. Go to bed now. I mean it.');

const ended = (outcome: string): Promise<void> =>
  until(
    () => turns.logged.some(({ event, outcome: how }) => event === 'turn_ended' && how === outcome),
    `a turn was ${outcome}`,
  );

describe('closing the request of a turn', () => {
  it.each([
    ['before the first token', { tokens: [], fault: { kind: 'silent' } }, 0],
    ['before the model has answered', { tokens: [], fault: { kind: 'silent', headers: false } }, 0],
    ['amid the tokens', { tokens: REPLY, gapMs: 20, fault: { kind: 'endless' } }, 4],
    ['in a gap', { tokens: REPLY, fault: { kind: 'stall' } }, REPLY.length],
  ] as const)(
    '%s closes the model’s within 100 ms; nothing is remembered (P33)',
    async (_when, reply, least) => {
      turns = await Turns.start();
      // What is done for the first time takes longer than what is measured here.
      await turns.take({ conversation: 'before' });
      turns.chat.next(reply);
      const abort = new AbortController();
      const seen: string[] = [];
      const reading = (async () => {
        for await (const event of turns.events({}, abort.signal)) seen.push(event.type);
      })();
      await until(
        () =>
          turns.chat.calls.length === 2 && seen.filter((type) => type === 'token').length >= least,
        'the reply is under way',
      );
      const call = turns.chat.last;
      const abortedMs = performance.now();
      abort.abort();
      await expect(reading).rejects.toThrow();
      await call.exchange.closed;
      expect((call.exchange.abortedMs ?? Infinity) - abortedMs).toBeLessThan(100);
      expect(seen).not.toContain('complete');
      await ended('cancelled');
      await turns.take({ text: 'Again.' });
      expect(turns.chat.last.messages.map(({ role }) => role)).toEqual(['system', 'user']);
      expect(await turns.metrics()).toContain('voice_llm_tts_turns_active 0');
    },
  );

  it('closes both the model’s and the speaker’s within 100 ms (P33)', async () => {
    const speech = new FakeSpeech({ reply: () => ({ fault: { kind: 'hang' } }) });
    turns = await Turns.start({ speech });
    turns.chat.next({ tokens: REPLY, fault: { kind: 'stall' } });
    const abort = new AbortController();
    const reading = (async () => {
      for await (const _event of turns.events({ speak: true }, abort.signal));
    })();
    await until(() => speech.calls.length === 2, 'two phrases are being spoken');
    const upstreams = [turns.chat.last, ...speech.calls].map(({ exchange }) => exchange);
    const abortedMs = performance.now();
    abort.abort();
    await expect(reading).rejects.toThrow();
    await Promise.all(upstreams.map(({ closed }) => closed));
    for (const upstream of upstreams)
      expect((upstream.abortedMs ?? Infinity) - abortedMs).toBeLessThan(100);
    await ended('cancelled');
    expect(speech.calls).toHaveLength(2);
  });
});

describe('a client that does not read its turn', () => {
  it('holds model and speech, in bounded memory, and lets go of them with its connection', async () => {
    const speech = new FakeSpeech();
    turns = await Turns.start({ speech });
    // Slow enough for each to be spoken; one takes 100 kB, and the sockets hold some megabytes.
    turns.chat.next({
      tokens: ['This is one of very many. '],
      gapMs: 15,
      fault: { kind: 'endless' },
    });
    const { client, response } = await unread();
    let before = -1;
    await until(
      async () => {
        const isHeld = before > 10 && speech.calls.length === before;
        before = speech.calls.length;
        await new Promise((resolve) => setTimeout(resolve, 500));
        return isHeld;
      },
      'no more is spoken',
      20_000,
    );
    expect(speech.calls.length).toBeLessThan(500);
    expect(turns.logged.map(({ event }) => event)).not.toContain('turn_ended');
    expect(response.destroyed).toBe(false);
    client.destroy();
    await turns.chat.last.exchange.closed;
    await ended('cancelled');
  });

  /** The head of an answer was read, and nothing behind it will be. */
  async function unread() {
    const client = httpRequest(`${turns.url}${TURNS_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: NDJSON },
    });
    client.on('error', () => undefined);
    client.end(JSON.stringify(turn({ speak: true })));
    const [response] = (await once(client, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    response.pause();
    return { client, response };
  }
});
