import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Charge } from '@voice-fleet/fleet/session-record';
import type { Booking } from '@voice-fleet/fleet/sessions/usage-ledger';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { METER_INTERVAL_MS, type MeterHandle, UnbookedAudio, UsageMeter } from './usage-meter.ts';

const DAY = '2026-05-01';

/** Books what it is given, as the test says; `hold` keeps the answers back. */
class FakeLedger {
  readonly batches: Charge[][] = [];
  readonly booked = new Map<string, number>();
  mode: 'up' | 'away' | 'reply-lost' | 'broken' = 'up';
  #held: (() => void)[] | undefined;

  hold(): void {
    this.#held = [];
  }

  release(): void {
    for (const go of this.#held ?? []) go();
    this.#held = undefined;
  }

  async charge(charges: readonly Charge[]): Promise<Booking[]> {
    this.batches.push([...charges]);
    const { mode } = this;
    const held = this.#held;
    if (held !== undefined) await new Promise<void>((resolve) => held.push(resolve));
    if (mode === 'away') throw new RedisUnavailable(new Error('gone'));
    if (mode === 'broken') throw new Error('bug');
    for (const { sessionId, acceptedSamples } of charges)
      this.booked.set(sessionId, Math.max(this.booked.get(sessionId) ?? 0, acceptedSamples));
    if (mode === 'reply-lost') throw new RedisUnavailable(new Error('timed out'));
    const samplesToday = [...this.booked.values()].reduce((sum, one) => sum + one, 0);
    return charges.map(() => ({ day: DAY, samplesToday }));
  }
}

describe('UsageMeter', () => {
  let clock: FakeClock;
  let ledger: FakeLedger;
  let meter: UsageMeter;
  let errors: unknown[];
  let told: [string, number, number, string][];

  const open = (sessionId: string): MeterHandle =>
    meter.open({ sessionId, tenantId: 't', keyId: 'k' }, (accepted, today, day) =>
      told.push([sessionId, accepted, today, day]),
    );
  const interval = async (): Promise<void> => {
    clock.advance(METER_INTERVAL_MS);
    await turn();
  };

  beforeEach(() => {
    clock = new FakeClock();
    ledger = new FakeLedger();
    errors = [];
    told = [];
    meter = new UsageMeter({ ledger, clock, maxBacklog: 2, onError: (e) => errors.push(e) });
    meter.start();
  });

  it('books all that moved in one batch for each interval, and nothing for those that did not', async () => {
    const [a, b] = [open('a'), open('b')];
    open('c');
    a.set(100);
    a.set(300);
    b.set(50);
    await interval();
    await interval();
    a.set(301);
    await interval();
    const sent = ledger.batches.map((batch) =>
      batch.map(({ sessionId, acceptedSamples }) => [sessionId, acceptedSamples]),
    );
    expect(sent).toEqual([
      [
        ['a', 300],
        ['b', 50],
      ],
      [['a', 301]],
    ]);
    expect(ledger.batches[0]?.[0]).toEqual({
      sessionId: 'a',
      tenantId: 't',
      keyId: 'k',
      acceptedSamples: 300,
    });
  });

  it('tells what was booked, not what has come since', async () => {
    const a = open('a');
    a.set(100);
    ledger.hold();
    await interval();
    a.set(900);
    expect(told).toEqual([]);
    ledger.release();
    await turn();
    expect(told).toEqual([['a', 100, 100, DAY]]);
    await interval();
    expect(told[1]).toEqual(['a', 900, 900, DAY]);
  });

  it('never books less than before', async () => {
    const a = open('a');
    a.set(100);
    a.set(60);
    await interval();
    a.set(40);
    await interval();
    expect(ledger.batches).toHaveLength(1);
    expect(ledger.booked.get('a')).toBe(100);
  });

  it('has one batch under way at a time', async () => {
    const a = open('a');
    a.set(1);
    ledger.hold();
    await interval();
    a.set(2);
    await interval();
    await interval();
    expect(ledger.batches).toHaveLength(1);
    ledger.release();
    await turn();
  });

  it('books the rest at close, behind a batch under way, and tells nothing afterwards', async () => {
    const a = open('a');
    a.set(1);
    ledger.hold();
    await interval();
    a.set(2);
    const closing = a.close();
    ledger.release();
    await closing;
    expect(ledger.booked.get('a')).toBe(2);
    expect(told).toEqual([
      ['a', 1, 1, DAY],
      ['a', 2, 2, DAY],
    ]);
    a.set(3);
    await a.close();
    await interval();
    expect(ledger.booked.get('a')).toBe(2);
    expect(meter.backlog).toBe(0);
  });

  it('makes one batch of those that close together, and books no others with them', async () => {
    const [a, b, open1] = [open('a'), open('b'), open('c')];
    for (const handle of [a, b, open1]) handle.set(5);
    await Promise.all([a.close(), b.close()]);
    expect(ledger.batches.map((batch) => batch.map(({ sessionId }) => sessionId))).toEqual([
      ['a', 'b'],
    ]);
  });

  it('keeps what Redis did not take and books it later, that of closed sessions too', async () => {
    const [a, b] = [open('a'), open('b')];
    a.set(10);
    b.set(20);
    ledger.mode = 'away';
    await interval();
    await b.close();
    expect([meter.backlog, told]).toEqual([1, []]);
    ledger.mode = 'up';
    await interval();
    expect([...ledger.booked]).toEqual([
      ['a', 10],
      ['b', 20],
    ]);
    expect([meter.backlog, errors]).toEqual([0, []]);
    expect(told).toEqual([['a', 10, 30, DAY]]);
  });

  it('asks again for what was booked without an answer', async () => {
    const a = open('a');
    a.set(10);
    ledger.mode = 'reply-lost';
    await interval();
    ledger.mode = 'up';
    await interval();
    expect(ledger.batches).toHaveLength(2);
    expect(told).toEqual([['a', 10, 10, DAY]]);
  });

  it('gives up the oldest when more closed sessions wait than it may keep, and says so', async () => {
    ledger.mode = 'away';
    for (const id of ['a', 'b', 'c']) {
      const handle = open(id);
      handle.set(7);
      await handle.close();
    }
    expect(meter.backlog).toBe(2);
    expect(errors).toEqual([expect.any(UnbookedAudio)]);
    expect(errors[0]).toMatchObject({ session: { sessionId: 'a' }, samples: 7 });
  });

  it('stops its timer, books all that is open, and tells what Redis did not take', async () => {
    const [a, b] = [open('a'), open('b')];
    a.set(1);
    b.set(2);
    ledger.mode = 'away';
    await b.close();
    ledger.mode = 'up';
    await meter.stop();
    expect(clock.pending).toBe(0);
    expect(ledger.booked.get('a')).toBe(1);
    expect(ledger.booked.get('b')).toBe(2);
    ledger.mode = 'away';
    a.set(5);
    await a.close();
    expect(errors).toEqual([expect.any(UnbookedAudio)]);
    expect(errors[0]).toMatchObject({ session: { sessionId: 'a' }, samples: 4 });
  });

  it('tells at its end what of closed sessions Redis never took', async () => {
    const a = open('a');
    a.set(6);
    ledger.mode = 'away';
    await a.close();
    await meter.stop();
    expect(errors).toEqual([expect.any(UnbookedAudio)]);
    expect(errors[0]).toMatchObject({ session: { sessionId: 'a' }, samples: 6 });
    await meter.stop();
    expect([errors.length, meter.backlog]).toEqual([1, 0]);
  });

  it('goes on after a fault of a ledger or a listener, which its owner hears of', async () => {
    const a = open('a');
    meter
      .open({ sessionId: 'bad', tenantId: 't', keyId: 'k' }, () => {
        throw new Error('listener');
      })
      .set(1);
    a.set(1);
    ledger.mode = 'broken';
    await interval();
    ledger.mode = 'up';
    await interval();
    expect(errors.map(String)).toEqual(['Error: bug', 'Error: listener']);
    expect(told).toEqual([['a', 1, 2, DAY]]);
    expect(ledger.booked.get('a')).toBe(1);
  });
});
