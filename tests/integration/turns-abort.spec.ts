import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NDJSON, TURNS_PATH } from '@voice-fleet/protocol/turn';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { quickest } from '../support/quickest.ts';
import { Turns, turn } from '../support/turns.ts';
import { until } from '../support/until.ts';

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
      const { chat } = turns;
      const abortOnce = async (): Promise<number> => {
        chat.next(reply);
        const before = chat.calls.length;
        const abort = new AbortController();
        const seen: string[] = [];
        const reading = (async () => {
          for await (const event of turns.events({}, abort.signal)) seen.push(event.type);
        })();
        await until(
          () =>
            chat.calls.length > before && seen.filter((type) => type === 'token').length >= least,
          'the reply is under way',
        );
        const { exchange } = chat.last;
        const abortedMs = performance.now();
        abort.abort();
        await expect(reading).rejects.toThrow();
        await exchange.closed;
        expect(seen).not.toContain('complete');
        return (exchange.abortedMs ?? Number.POSITIVE_INFINITY) - abortedMs;
      };
      expect(await quickest(100, abortOnce)).toBeLessThan(100);
      await ended('cancelled');
      await turns.take({ text: 'Again.' });
      expect(chat.last.messages.map(({ role }) => role)).toEqual(['system', 'user']);
      expect(await turns.metrics()).toContain('voice_llm_tts_turns_active 0');
    },
  );
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
    await until(async () => {
      const isHeld = before > 10 && speech.calls.length === before;
      before = speech.calls.length;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return isHeld;
    }, 'no more is spoken');
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
