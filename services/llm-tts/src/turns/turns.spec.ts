import { describe, expect, it } from '@jest/globals';
import { TurnRequest } from '@voice-fleet/protocol/turn';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER } from '@voice-fleet/telemetry/tracing/tracer';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { LlmTtsMetrics } from '../metrics.ts';
import { ScriptedTokens } from './scripted-tokens.fixture.ts';
import { tokenLimits } from './token-deadlines.ts';
import { Turns } from './turns.ts';

const REQUEST = TurnRequest.parse({
  tenant: 'acme',
  conversation: 'c-1',
  text: 'my secret question',
  speak: false,
});

function setUp(maxActive = 2) {
  const clock = new FakeClock();
  const metrics = new LlmTtsMetrics();
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('llm-tts', 'info', {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const sources: ScriptedTokens[] = [];
  const turns = new Turns({
    clock,
    metrics,
    log,
    tracer: NO_TRACER,
    maxActive,
    engines: {
      clock,
      limits: tokenLimits(30_000),
      systemPrompt: '',
      speech: undefined,
      memory: { recall: async () => [], remember: async () => undefined },
      llm: {
        name: 'scripted',
        model: 'big',
        label: 'remote',
        stream: (_messages, _options, signal) => {
          const source = new ScriptedTokens();
          sources.push(source);
          return source.open(signal);
        },
      },
    },
  });
  const open = async (signal = new AbortController().signal): Promise<string[]> => {
    const types: string[] = [];
    for await (const event of turns.open(REQUEST, signal)) types.push(event.type);
    return types;
  };
  return { clock, metrics, lines, turns, sources, open };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the turns of a service', () => {
  it('are as many at once as may be; others are told when to come back', async () => {
    const { turns, open, sources, metrics } = setUp(1);
    const first = open();
    await settled();
    await expect(open()).rejects.toMatchObject({
      code: 'at_capacity',
      status: 503,
      details: { retry_after_s: 1 },
    });
    expect((await metrics.turnsRefused.get()).values[0]?.value).toBe(1);
    sources[0]?.say('Yes.').end();
    await first;
    expect(turns.active).toBe(0);
    const second = open();
    await settled();
    sources[1]?.say('Yes.').end();
    expect(await second).toContain('complete');
  });

  it('leave one line each when they end, with counts and times and without a word of it', async () => {
    const { open, sources, lines, clock, metrics } = setUp();
    const ended = open();
    await settled();
    clock.advance(120);
    sources[0]?.say('It is', ' a secret answer.').end();
    await ended;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      event: 'turn_ended',
      sid: 'c-1',
      tenant: 'acme',
      outcome: 'spoken',
      model: 'big',
      textChars: 18,
      tokens: 2,
      replyChars: 22,
      firstTokenMs: 120,
      durationMs: 120,
    });
    expect(JSON.stringify(lines)).not.toContain('secret');
    const page = await metrics.registry.metrics();
    expect(page).toContain('voice_llm_tts_turns_total{outcome="spoken",model="remote"} 1');
    expect(page).toContain('voice_llm_tts_tokens_total{model="remote"} 2');
    expect(page).toContain('voice_llm_tts_first_token_seconds_sum{model="remote"} 0.12');
  });

  it('count as cancelled when their reader goes, and as failed with a cause', async () => {
    const { open, sources, lines, metrics, clock } = setUp();
    const abort = new AbortController();
    const cancelled = open(abort.signal);
    const failed = open();
    await settled();
    abort.abort(new Error('gone'));
    await cancelled;
    clock.advance(5_000);
    await failed;
    expect(lines).toMatchObject([
      { outcome: 'cancelled' },
      { outcome: 'failed', error: 'llm_timeout', cause: { limit: 'first' } },
    ]);
    expect(sources).toHaveLength(2);
    const page = await metrics.registry.metrics();
    expect(page).toContain('voice_llm_tts_llm_faults_total{cause="llm_timeout"} 1');
    expect(page).toContain('voice_llm_tts_turns_active 0');
  });

  it('do not hold up a stop when their reader takes nothing', async () => {
    const { turns, sources, clock } = setUp();
    const events = turns.open(REQUEST, new AbortController().signal);
    const first = events.next();
    await settled();
    sources[0]?.say('Yes.');
    await first;
    const drained = turns.drain(3_000);
    clock.advance(3_000);
    await settled();
    expect(sources[0]?.aborted).toBeDefined();
    clock.advance(500);
    await drained;
    expect(turns.active).toBe(1);
    // Its connection is closed now.
    await events.return();
    expect([turns.active, clock.pending]).toEqual([0, 0]);
  });

  it('may finish while the service drains, and are cut off after that; none begins', async () => {
    const { turns, open, sources, clock } = setUp();
    const quick = open();
    const slow = open();
    await settled();
    const drained = turns.drain(3_000);
    await expect(open()).rejects.toMatchObject({ code: 'at_capacity' });
    sources[0]?.say('Yes.').end();
    expect(await quick).toContain('complete');
    clock.advance(3_000);
    expect(await slow).not.toContain('complete');
    await drained;
    expect([turns.active, clock.pending]).toEqual([0, 0]);
  });
});
