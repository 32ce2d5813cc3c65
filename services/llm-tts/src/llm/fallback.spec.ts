import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ScriptedTokens } from '../turns/scripted-tokens.fixture.ts';
import type { LlmEngine, LlmModel } from './engine.ts';
import { FallbackEngine } from './fallback.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp() {
  const clock = new FakeClock();
  const first = new ScriptedTokens();
  const second = new ScriptedTokens().say('I', ' stand in').end();
  const engine = (model: string, label: LlmModel['label'], tokens: ScriptedTokens): LlmEngine => ({
    name: model,
    model,
    label,
    stream: (_messages, _options, signal) => tokens.open(signal),
  });
  const faults: unknown[] = [];
  const fallback = new FallbackEngine(
    engine('big', 'remote', first),
    engine('builtin-rules', 'builtin-rules', second),
    { clock, patienceMs: 3_000, onFallback: (error) => faults.push(error) },
  );
  const abort = new AbortController();
  const read: string[] = [];
  let model = fallback.model;
  const onModel = (other: LlmModel): void => {
    model = other.model;
  };
  const result = (async () => {
    for await (const token of fallback.stream([], { onModel }, abort.signal)) read.push(token);
  })().catch((error: unknown) => error);
  return { clock, first, second, faults, abort, read, result, model: () => model };
}

describe('the engine with a fallback', () => {
  it('leaves the reply to the first engine while that does well', async () => {
    const { first, second, read, result, model, clock } = setUp();
    first.say('One', ' two').end();
    expect(await result).toBeUndefined();
    expect([read, model(), second.opened]).toEqual([['One', ' two'], 'big', 0]);
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['fails', (first: ScriptedTokens) => first.fail(new Error('refused')), 'refused'],
    ['says nothing', (first: ScriptedTokens) => first.end(), 'it said nothing'],
  ])('lets the second answer when the first %s, and says who does', async (_what, act, message) => {
    const { first, read, result, model, faults } = setUp();
    act(first);
    expect(await result).toBeUndefined();
    expect([read, model()]).toEqual([['I', ' stand in'], 'builtin-rules']);
    expect(faults).toMatchObject([{ message }]);
  });

  it('does not wait for ever for a first token, and stops whom it waited for', async () => {
    const { clock, first, read, result, model } = setUp();
    await settled();
    clock.advance(3_000);
    expect(await result).toBeUndefined();
    expect([read, model()]).toEqual([['I', ' stand in'], 'builtin-rules']);
    expect(first.aborted).toBeDefined();
  });

  it('does not mix two replies: after a token of the first its fault stays one', async () => {
    const { first, second, read, result } = setUp();
    first.say('One').fail(new Error('broken'));
    expect(await result).toMatchObject({ message: 'broken' });
    expect([read, second.opened]).toEqual([['One'], 0]);
  });

  it('lets nobody answer what was aborted', async () => {
    const { abort, first, second, read, result } = setUp();
    await settled();
    first.fail(new Error('aborted'));
    abort.abort(new Error('gone'));
    await result;
    expect([read, second.opened]).toEqual([[], 0]);
  });
});
