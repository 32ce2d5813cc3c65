import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { SaveResult } from '@voice-fleet/fleet/session-record';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { Journal, type JournalDeps, type JournalStart } from './journal.ts';

type Save = Parameters<JournalDeps['save']>[0];

/** Redis as far as a journal knows it: keeps what it was told, when it is there. */
class Store {
  frames: string[] = [];
  seq = 0;
  text = '';
  state = '';
  accepted = 0;
  saves = 0;
  away = false;
  /** The reply is lost, though all was done. */
  mute = false;
  fenced = false;

  save({ seq, frames, state, text, acceptedSamples, confirmed }: Save): SaveResult {
    this.saves += 1;
    this.confirmed = confirmed;
    if (this.away) throw new RedisUnavailable(new Error('away'));
    if (this.fenced) return 'fenced';
    if (text.atChar > 0 && text.atChar !== this.text.length) return 'text_missing';
    const first = seq - frames.length + 1;
    this.frames = [...this.frames.slice(0, first - 1), ...frames];
    this.seq = seq;
    this.text = this.text.slice(0, text.atChar) + text.append;
    this.state = state;
    this.accepted = acceptedSamples;
    if (this.mute) throw new RedisUnavailable(new Error('no reply'));
    return 'saved';
  }

  confirmed = false;
}

describe('Journal', () => {
  let clock: FakeClock;
  let store: Store;
  let sent: string[];
  let saved: unknown[];
  let fenced: number;
  let faults: unknown[];
  let now: { state: string; utterance: number; text: string; accepted: number };

  function open(start?: JournalStart): Journal {
    return new Journal(
      {
        clock,
        save: async (save) => {
          await turn();
          return store.save(save);
        },
        number: (frame, seq) => `${seq}:${frame}`,
        describe: () => ({
          state: now.state,
          transcript: { utterance: now.utterance, text: now.text },
          acceptedSamples: now.accepted,
          keep: { utteranceId: 'u', fromSample: now.accepted },
        }),
        send: (frame) => sent.push(frame),
        confirmed: () => true,
        onSaved: (samples, keep) => saved.push([samples, keep?.fromSample]),
        onFenced: () => {
          fenced += 1;
        },
        onError: (error) => faults.push(error),
      },
      start,
    );
  }
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 12; round += 1) await turn();
  };

  beforeEach(() => {
    clock = new FakeClock();
    store = new Store();
    sent = [];
    saved = [];
    fenced = 0;
    faults = [];
    now = { state: 's0', utterance: 0, text: '', accepted: 0 };
  });

  it('sends a frame only when it is written down, in one save with what came in the same turn', async () => {
    const journal = open();
    journal.write(['a']);
    journal.write(['b', 'c']);
    now.accepted = 9;
    expect(sent).toEqual([]);
    await settle();
    expect(sent).toEqual(['1:a', '2:b', '3:c']);
    expect([store.frames, store.seq, store.saves, saved]).toEqual([sent, 3, 1, [[9, 9]]]);
    journal.stop();
    expect(clock.pending).toBe(0);
  });

  it('writes the text in parts, whole again for another utterance, and whole when Redis has lost it', async () => {
    const journal = open();
    now.utterance = 1;
    for (const text of ['one', 'one two', 'one two three']) {
      now.text = text;
      journal.write([text]);
      await settle();
      expect(store.text).toBe(text);
    }
    store.text = '';
    now.text = 'one two three four';
    journal.write(['four']);
    await settle();
    expect(store.text).toBe('one two three four');
    now.utterance = 2;
    now.text = 'x';
    journal.write(['x']);
    await settle();
    expect(store.text).toBe('x');
    journal.stop();
  });

  it('saves what has moved once a second, and an idle session every other', async () => {
    const journal = open();
    const saves: number[] = [];
    for (let second = 0; second < 5; second += 1) {
      if (second === 2) now.accepted = 5;
      clock.advance(1_000);
      await settle();
      saves.push(store.saves);
    }
    expect(saves).toEqual([1, 1, 2, 2, 3]);
    journal.stop();
  });

  it('sends without Redis, and writes down later what was sent', async () => {
    const journal = open();
    store.away = true;
    journal.write(['a']);
    await settle();
    journal.write(['b']);
    await settle();
    expect([sent, store.frames]).toEqual([['1:a', '2:b'], []]);
    store.away = false;
    clock.advance(1_000);
    await settle();
    expect([sent, store.frames]).toEqual([
      ['1:a', '2:b'],
      ['1:a', '2:b'],
    ]);
    journal.stop();
  });

  it('keeps no more than 1024 frames for a Redis that is away', async () => {
    const journal = open();
    store.away = true;
    for (let frame = 0; frame < 3_000; frame += 1) journal.write([String(frame)]);
    await settle();
    store.away = false;
    clock.advance(1_000);
    await settle();
    expect(sent).toHaveLength(3_000);
    expect([store.frames.length, store.seq]).toEqual([1_024, 3_000]);
    journal.stop();
  });

  it('ends without sending anything when another connection has the session', async () => {
    const journal = open();
    store.fenced = true;
    journal.write(['a']);
    await settle();
    journal.write(['b']);
    await settle();
    expect([sent, fenced, store.saves, clock.pending]).toEqual([[], 1, 1, 0]);
  });

  it('saves the rest as it closes, and waits no longer than a second for it', async () => {
    const journal = open();
    journal.write(['a']);
    await journal.close();
    expect(sent).toEqual(['1:a']);
    const hanging = open();
    store.save = () => {
      throw new RedisUnavailable(new Error('away'));
    };
    hanging.write(['b']);
    await hanging.close();
    expect(sent).toEqual(['1:a', '1:b']);
    expect(clock.pending).toBe(0);
  });

  it('tells of what was saved, not of what has come since', async () => {
    const journal = open();
    now.accepted = 5;
    journal.write(['a']);
    await turn();
    now.accepted = 50;
    await settle();
    expect(saved[0]).toEqual([5, 5]);
    journal.stop();
  });

  it('sends its last frames even if Redis hangs', async () => {
    const journal = open();
    store.save = (() => new Promise(() => undefined)) as never;
    journal.write(['a']);
    const closed = journal.close();
    await settle();
    expect(sent).toEqual([]);
    clock.advance(1_000);
    await closed;
    expect([sent, clock.pending]).toEqual([['1:a'], 0]);
  });

  it('knows whether the session is still its own', async () => {
    const journal = open();
    expect(await journal.check()).toBe(true);
    store.away = true;
    expect(await journal.check()).toBe(true);
    store.away = false;
    store.fenced = true;
    expect(await journal.check()).toBe(false);
    expect(fenced).toBe(1);
  });

  it('goes on with the numbers and the text of the connection before', async () => {
    store.text = 'one two';
    store.seq = 7;
    const journal = open({ seq: 7, transcript: { utterance: 3, text: 'one two' } });
    now.utterance = 3;
    now.text = 'one two three';
    journal.write(['x']);
    await settle();
    expect([sent, store.text, store.saves]).toEqual([['8:x'], 'one two three', 1]);
    journal.stop();
  });

  it('loses, doubles and reorders nothing, whenever Redis comes and goes', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), frames: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant('redis' as const), away: fc.boolean(), mute: fc.boolean() }),
      fc.record({ kind: fc.constant('wait' as const), turns: fc.nat(3) }),
      fc.record({ kind: fc.constant('tick' as const) }),
      fc.record({ kind: fc.constant('forget' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        clock = new FakeClock();
        store = new Store();
        sent = [];
        now = { state: '', utterance: 1, text: '', accepted: 0 };
        const journal = open();
        let written = 0;
        for (const one of steps) {
          if (one.kind === 'write') {
            for (let frame = 0; frame < one.frames; frame += 1) {
              written += 1;
              now.text += ` w${written}`;
              now.accepted += 10;
              journal.write([`f${written}`]);
            }
          } else if (one.kind === 'redis') {
            store.away = one.away;
            store.mute = one.mute;
          } else if (one.kind === 'wait') for (let t = 0; t < one.turns; t += 1) await turn();
          else if (one.kind === 'tick') clock.advance(1_000);
          else store.text = '';
        }
        store.away = false;
        store.mute = false;
        await settle();
        clock.advance(2_000);
        await settle();
        await journal.close();
        const all = Array.from({ length: written }, (_, at) => `${at + 1}:f${at + 1}`);
        expect(sent).toEqual(all);
        expect(store.frames).toEqual(all);
        expect([store.text, store.accepted]).toEqual([now.text, now.accepted]);
      }),
      { numRuns: 150 },
    );
  });
});
