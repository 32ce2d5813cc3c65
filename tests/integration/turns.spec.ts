import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { replyText, Turns } from '../support/turns.ts';

jest.setTimeout(30_000);

let turns: Turns;
afterEach(() => turns[Symbol.asyncDispose]());

describe('a turn', () => {
  it('is answered with the tokens of the configured server, the last one done (P17, P19)', async () => {
    turns = await Turns.start({ env: { OPENAI_API_KEY: 'sk-1', OPENAI_MODEL: 'tiny' } });
    turns.chat.next({ tokens: tokensOf('It is late. Go to bed now.') });
    const events = await turns.take({ text: 'What now?' });
    expect(events).toEqual([
      { type: 'started', model: 'tiny' },
      ...tokensOf('It is late. Go to bed now.').map((text) => ({
        type: 'token',
        text,
        done: false,
      })),
      { type: 'token', text: '', done: true },
      { type: 'complete', outcome: 'spoken', tokens: 7, phrases: 0 },
    ]);
  });
  it('is answered by the rules when no model is configured (P18)', async () => {
    turns = await Turns.start({ llm: false });
    const events = await turns.take({ text: 'what is two plus two' });
    expect(events[0]).toEqual({ type: 'started', model: 'builtin-rules' });
    expect(replyText(events)).toMatch(/is 4\. /);
    expect(turns.chat.calls).toEqual([]);
  });
});
