import { afterEach, describe, expect, it } from '@jest/globals';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { FakeSpeech } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { stopwatch } from '../support/stopwatch.ts';
import { Turns } from '../support/turns.ts';

describe('a model that takes too long', () => {
  let turns: Turns;
  afterEach(() => turns[Symbol.asyncDispose]());

  /** The turn's events, and how long it took by the clock and by a stopwatch; the limits are the real ones, as are the sockets. */
  async function timed(): Promise<{ events: TurnEvent[]; afterS: number; tookS: number }> {
    const beganMs = performance.now();
    const took = stopwatch();
    const events = await turns.take({ text: 'Well?', speak: true });
    const afterS = (performance.now() - beganMs) / 1000;
    return { events, afterS, tookS: took() / 1000 };
  }

  async function expectForgotten(): Promise<void> {
    const { exchange } = turns.chat.last;
    await exchange.closed;
    expect(exchange.abortedMs).toBeDefined();
    await turns.take({ text: 'Again.' });
    expect(turns.chat.last.messages.map(({ content }) => content).slice(1)).toEqual(['Again.']);
  }

  it('to say anything is given up after half of STREAM_LLM_TIMEOUT_S (P20)', async () => {
    const speech = new FakeSpeech();
    turns = await Turns.start({ speech, env: { STREAM_LLM_TIMEOUT_S: '5' } });
    turns.chat.next({ tokens: [], fault: { kind: 'silent' } });
    const { events, afterS, tookS } = await timed();
    expect(events.map(({ type }) => type)).toEqual(['started', 'error', 'complete']);
    expect(events.slice(1)).toMatchObject([{ code: 'llm_timeout' }, { outcome: 'failed' }]);
    expect(afterS).toBeGreaterThan(2.4);
    expect(tookS).toBeLessThan(3.2);
    expect(speech.calls).toEqual([]);
    await expectForgotten();
  });

  it('to go on is given up after four seconds (P21)', async () => {
    turns = await Turns.start({ speech: new FakeSpeech() });
    turns.chat.next({ tokens: ['One', ' two'], fault: { kind: 'stall' } });
    const { events, afterS, tookS } = await timed();
    expect(events.slice(-2)).toMatchObject([{ code: 'llm_timeout' }, { outcome: 'failed' }]);
    expect(events).not.toContainEqual(expect.objectContaining({ done: true }));
    expect(afterS).toBeGreaterThan(3.9);
    expect(tookS).toBeLessThan(4.8);
    await expectForgotten();
  });

  it('to come to an end is given up after STREAM_LLM_TIMEOUT_S (P22)', async () => {
    turns = await Turns.start({ env: { STREAM_LLM_TIMEOUT_S: '5' } });
    turns.chat.next({ tokens: ['on', ' and '], gapMs: 400, fault: { kind: 'endless' } });
    const { events, afterS, tookS } = await timed();
    expect(events.slice(-2)).toMatchObject([{ code: 'llm_timeout' }, { outcome: 'failed' }]);
    expect(events.filter(({ type }) => type === 'token').length).toBeGreaterThan(8);
    expect(afterS).toBeGreaterThan(4.9);
    expect(tookS).toBeLessThan(5.8);
    await expectForgotten();
  });
});
