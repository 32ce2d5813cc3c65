import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { MS, Rig, word } from './listen.fixture.ts';

type Step = readonly [what: string, amount: number];

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('audio'), fc.integer({ min: 1, max: 1_500 })) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('loud'), fc.integer({ min: 1, max: 1_500 })) },
  {
    weight: 8,
    arbitrary: fc.tuple(
      fc.constantFrom('taken', 'began', 'ended', 'words', 'final', 'commit'),
      fc.constant(0),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(
      fc.constantFrom('clear', 'endpointing', 'manual', 'short', 'failed', 'lost', 'slow', 'fast'),
      fc.constant(0),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(fc.constant('wait'), fc.integer({ min: 1, max: 12_000 })) },
);

/** A worker that keeps the rules of the link, and a client that keeps none. */
class Play {
  readonly rig: Rig;
  receivedMs = 0;

  constructor(rig: Rig) {
    this.rig = rig;
  }

  /** What the worker has, by what it was told last: its number, and whether it takes audio. */
  get #has(): { utterance: number; open: boolean; began: boolean } | undefined {
    let has: { utterance: number; open: boolean; began: boolean } | undefined;
    for (const call of this.rig.link.calls) {
      const [what, number] = call.split(' ');
      if (what === 'start' || what === 'resume')
        has = { utterance: Number(number), open: true, began: has?.began ?? false };
      if (what === 'finish' && has) has.open = false;
      if (what === 'cancel') has = undefined;
    }
    return has && !this.#over.has(has.utterance) ? has : undefined;
  }

  readonly #over = new Set<number>();
  readonly #began = new Set<number>();
  readonly #ended = new Set<number>();

  async play([what, amount]: Step): Promise<void> {
    const { rig } = this;
    const has = this.#has;
    const nowMs = rig.session.totals.acceptedSamples / MS;
    rig.utterance = has?.utterance ?? 0;
    switch (what) {
      case 'audio':
      case 'loud':
        this.receivedMs += amount;
        return rig.audio(amount, what === 'loud' ? 8_000 : 0);
      case 'taken':
        return rig.taken(nowMs);
      case 'began':
        if (!has?.open || this.#began.has(has.utterance)) return;
        this.#began.add(has.utterance);
        return rig.speech('started', nowMs - 10);
      case 'ended':
        if (!has?.open || !this.#began.has(has.utterance) || this.#ended.has(has.utterance)) return;
        this.#ended.add(has.utterance);
        return rig.speech('ended', nowMs - 5);
      case 'words':
        if (has) rig.partial([word(' w', nowMs - 2, nowMs - 1)], ' x');
        return;
      case 'final':
        if (!has || has.open) return;
        this.#over.add(has.utterance);
        return rig.final();
      case 'failed':
        if (!has) return;
        this.#over.add(has.utterance);
        for (let loss = 0; loss < 7; loss += 1) {
          rig.worker.onUtterance({ type: 'failed', utterance: has.utterance, reason: 'r' });
          await turn();
          rig.clock.advance(5_000);
          await turn();
        }
        return;
      case 'lost':
        rig.worker.onLost('gone');
        await turn();
        rig.clock.advance(5_000);
        return void (await turn());
      case 'wait':
        return rig.clock.advance(amount);
      case 'commit':
        return rig.commit();
      case 'clear':
        return rig.pipeline.apply({ kind: 'clear' });
      case 'endpointing':
        return rig.listen({ endpointing: { silenceMs: 300 }, quietMs: 500 });
      case 'manual':
        return rig.listen({});
      case 'short':
        return rig.listen({ endpointing: { silenceMs: 300 }, maxUtteranceMs: 2_000 });
      case 'slow':
      case 'fast':
        return rig.pipeline.onLoad({ events: what === 'slow' ? 100 : 0, chars: 0 });
    }
  }
}

/** Throws unless the events are such as they are declared. */
function check(events: readonly SessionEvent[], receivedMs: number): void {
  const moments = new Map<string, string[]>();
  const cleared = new Set<string>();
  const spans: [number, number][] = [];
  const heard = new Map<string, number>();
  for (const event of events) {
    expect(event.kind).not.toBe('error');
    if (event.kind === 'cleared' && event.utteranceId) cleared.add(event.utteranceId);
    if (event.kind === 'heard')
      heard.set(event.utteranceId, (heard.get(event.utteranceId) ?? 0) + event.words.length);
    if (event.kind === 'transcribed')
      expect(heard.get(event.utteranceId) ?? 0).toBe(event.words.length);
    if (event.kind === 'committed') spans.push([event.fromSample, event.toSample]);
    if ('utteranceId' in event && event.utteranceId !== undefined) {
      const own = moments.get(event.utteranceId) ?? [];
      moments.set(event.utteranceId, own);
      if (event.kind !== 'heard') own.push(event.kind);
      else expect(own).not.toContain('transcribed');
    }
  }
  for (const [id, own] of moments) {
    const whole = /^(speech-began,speech-ended,)?committed,(transcribed|failed)$/;
    const gone = /^(speech-began,)?(speech-ended,)?cleared$/;
    expect(own.join(',')).toMatch(cleared.has(id) ? gone : whole);
  }
  let at = 0;
  for (const [from, to] of spans) {
    expect(from).toBeGreaterThanOrEqual(at);
    expect(to).toBeGreaterThan(from);
    at = to;
  }
  expect(at).toBeLessThanOrEqual(receivedMs * MS);
}

describe('a listening session, whatever comes', () => {
  it('tells of each utterance what is declared, in its order, and comes to an end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const rig = await Rig.open(new FakeClock());
        const play = new Play(rig);
        for (const one of steps) {
          try {
            await play.play(one);
          } catch (error) {
            if (!(error instanceof VoiceError && error.code === 'empty_commit')) throw error;
          }
        }
        rig.pipeline.apply({ kind: 'finish' });
        for (let round = 0; rig.sink.ends.length === 0 && round < 200; round += 1) {
          await play.play(['taken', 0]);
          await play.play(['final', 0]);
          await play.play(['wait', 5_000]);
          await turn();
        }
        expect(rig.sink.ends).toEqual([{ kind: 'ended' }]);
        check(rig.sink.events, play.receivedMs);
        await rig.pipeline.stop();
        await rig.session.close();
        expect(rig.clock.pending).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
