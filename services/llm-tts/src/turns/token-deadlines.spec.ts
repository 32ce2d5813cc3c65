import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ScriptedTokens } from './scripted-tokens.fixture.ts';
import { tokenLimits, withDeadlines } from './token-deadlines.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(totalMs = 30_000) {
  const clock = new FakeClock();
  const source = new ScriptedTokens();
  const abort = new AbortController();
  const read: string[] = [];
  const tokens = withDeadlines(source.open, {
    clock,
    limits: tokenLimits(totalMs),
    signal: abort.signal,
  });
  const result = (async () => {
    for await (const token of tokens) read.push(token);
    return 'whole';
  })().catch((error: Error & { code?: string; details?: unknown }) => error);
  return { clock, source, abort, read, result };
}

describe('deadlines of tokens', () => {
  it.each([
    [30_000, 5_000],
    [6_000, 3_000],
    [5_000, 2_500],
  ])('of %i ms in all leave %i ms for the first token', async (totalMs, firstMs) => {
    const { clock, source, result } = setUp(totalMs);
    await settled();
    clock.advance(firstMs - 1);
    await settled();
    expect(source.aborted).toBeUndefined();
    clock.advance(1);
    expect(await result).toMatchObject({ code: 'llm_timeout', details: { limit: 'first' } });
    expect(source.aborted).toMatchObject({ code: 'llm_timeout' });
  });

  it('leave four seconds from one token to the next', async () => {
    const { clock, source, read, result } = setUp();
    source.say('One');
    await settled();
    clock.advance(3_999);
    source.say(' two');
    await settled();
    clock.advance(3_999);
    await settled();
    expect(source.aborted).toBeUndefined();
    clock.advance(1);
    expect(await result).toMatchObject({ code: 'llm_timeout', details: { limit: 'gap' } });
    expect(read).toEqual(['One', ' two']);
  });

  it('end a reply that goes on for ever', async () => {
    const { clock, source, read, result } = setUp(10_000);
    for (let second = 0; second < 10; second++) {
      source.say('on ');
      await settled();
      clock.advance(1_000);
    }
    expect(await result).toMatchObject({ code: 'llm_timeout', details: { limit: 'total' } });
    expect(read).toHaveLength(10);
  });

  it('do not count the time of a reader', async () => {
    const clock = new FakeClock();
    const source = new ScriptedTokens();
    const tokens = withDeadlines(source.open, {
      clock,
      limits: tokenLimits(30_000),
      signal: new AbortController().signal,
    });
    source.say('One').say(' two').end();
    expect((await tokens.next()).value).toBe('One');
    clock.advance(10_000);
    expect((await tokens.next()).value).toBe(' two');
    expect((await tokens.next()).done).toBe(true);
  });

  it('end with the reason of an abort, also when the engine does not hear it', async () => {
    const { abort, source, result } = setUp();
    source.isDeaf = true;
    source.say('One');
    await settled();
    abort.abort(new Error('barge-in'));
    expect(await result).toMatchObject({ message: 'barge-in' });
  });

  it('pass on what the engine throws', async () => {
    const { source, result } = setUp();
    source.say('One').fail(new Error('broken'));
    expect(await result).toMatchObject({ message: 'broken' });
  });

  it('leave no timer and stop the engine, whichever way it ends', async () => {
    const { clock, source, result } = setUp();
    source.say('One').end();
    expect(await result).toBe('whole');
    expect(clock.pending).toBe(0);

    const other = setUp();
    await settled();
    other.clock.advance(5_000);
    await other.result;
    expect(other.clock.pending).toBe(0);
    expect(other.source.aborted).toBeDefined();
  });
});
