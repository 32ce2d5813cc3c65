import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { CatchUp, type CatchUpTurn, catchUpPermits, TURN_MS } from './catch-up.ts';

describe('catchUpPermits', () => {
  it('is a quarter of the slots, two at least, unless it is configured', () => {
    expect([0, 1, 8, 11, 12, 64].map((slots) => catchUpPermits(0, slots))).toEqual([
      2, 2, 2, 2, 3, 16,
    ]);
    expect(catchUpPermits(5, 64)).toBe(5);
  });
});

describe('CatchUp', () => {
  let clock: FakeClock;
  let permits: number;
  let shown: [active: number, waiting: number];
  let durations: number[];
  let catchUp: CatchUp;
  let granted: string[];

  beforeEach(() => {
    clock = new FakeClock();
    permits = 2;
    shown = [0, 0];
    durations = [];
    granted = [];
    catchUp = new CatchUp({
      clock,
      permits: () => permits,
      stats: {
        onChange: (active, waiting) => {
          shown = [active, waiting];
        },
        onCaughtUp: (durationMs) => void durations.push(durationMs),
      },
    });
  });

  const enter = (name: string): CatchUpTurn => catchUp.enter(() => void granted.push(name));

  it('grants in the order of entering, as many as there are permits', () => {
    const [a, b] = ['a', 'b', 'c', 'd', 'e'].map(enter);
    expect([granted, shown]).toEqual([
      ['a', 'b'],
      [2, 3],
    ]);
    b?.leave(true);
    expect([granted, shown]).toEqual([
      ['a', 'b', 'c'],
      [2, 2],
    ]);
    a?.leave(false);
    expect(granted).toEqual(['a', 'b', 'c', 'd']);
  });

  it('forgets one that leaves before its turn, and minds no second leave', () => {
    const [a, b, c] = ['a', 'b', 'c', 'd'].map(enter);
    c?.leave(false);
    c?.leave(false);
    a?.leave(false);
    a?.leave(false);
    expect([granted, shown, b?.granted]).toEqual([['a', 'b', 'd'], [2, 0], true]);
  });

  it('sends one to the back that holds on for too long, caught up or not, if others wait', () => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(enter);
    clock.advance(TURN_MS - 1);
    expect([c?.granted, d?.granted]).toEqual([false, false]);
    clock.advance(1);
    expect([a, b, c, d].map((turn) => turn?.granted)).toEqual([false, false, true, true]);
    c?.leave(true);
    expect([a?.granted, b?.granted, shown]).toEqual([true, false, [2, 1]]);
    clock.advance(TURN_MS - 1);
    expect(granted).toEqual(['a', 'b', 'c', 'd', 'a']);
  });

  it('goes round among more than there are permits for: nobody waits for longer than a turn', () => {
    const turns = ['a', 'b', 'c'].map(enter);
    const waitedMs = [0, 0, 0];
    const totalMs = [0, 0, 0];
    for (let atMs = 0; atMs < 60_000; atMs += 100) {
      clock.advance(100);
      expect(turns.filter((turn) => turn.granted)).toHaveLength(2);
      for (const [nth, { granted: active }] of turns.entries()) {
        waitedMs[nth] = active ? 0 : (waitedMs[nth] ?? 0) + 100;
        totalMs[nth] = (totalMs[nth] ?? 0) + (active ? 0 : 100);
        expect(waitedMs[nth]).toBeLessThanOrEqual(TURN_MS);
      }
    }
    expect(totalMs).toEqual([20_000, 20_000, 20_000]);
  });

  it('leaves one that holds on alone, without a timer, until another comes', () => {
    permits = 1;
    const a = enter('a');
    expect(clock.pending).toBe(0);
    clock.advance(10 * TURN_MS);
    expect([a.granted, a.spent]).toEqual([true, true]);
    enter('b');
    clock.advance(0);
    expect([granted, a.granted]).toEqual([['a', 'b'], false]);
  });

  it('says of one that had its time that it is spent, also while it waits again', () => {
    permits = 1;
    const a = enter('a');
    const b = enter('b');
    expect([a.spent, b.spent]).toEqual([false, false]);
    clock.advance(TURN_MS);
    expect([a.granted, a.spent, b.spent]).toEqual([false, true, false]);
  });

  it('goes by the permits there are now, and never by none', () => {
    permits = 0;
    const a = enter('a');
    enter('b');
    expect(granted).toEqual(['a']);
    permits = 3;
    enter('c');
    expect(granted).toEqual(['a', 'b', 'c']);
    permits = 1;
    enter('d');
    a.leave(true);
    expect(granted).toEqual(['a', 'b', 'c']);
  });

  it('tells how long it took, wait included, of those that have caught up', () => {
    permits = 1;
    const a = enter('a');
    const b = enter('b');
    clock.advance(300);
    a.leave(false);
    clock.advance(200);
    b.leave(true);
    expect(durations).toEqual([500]);
  });

  it('never lets too many go, leaves nobody waiting beside a free permit, and serves all in the end', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('enter' as const) }),
      fc.record({ kind: fc.constant('leave' as const), nth: fc.nat(20) }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(8_000) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(step, { maxLength: 60 }),
        (max, steps) => {
          permits = max;
          const turns: CatchUpTurn[] = [];
          const served = new Set<CatchUpTurn>();
          const check = (): void => {
            const active = turns.filter((turn) => turn.granted).length;
            expect(active).toBe(Math.min(max, turns.length));
            expect(shown).toEqual([active, turns.length - active]);
            for (const turn of turns) if (turn.granted) served.add(turn);
          };
          for (const one of steps) {
            if (one.kind === 'enter') turns.push(catchUp.enter(() => undefined));
            else if (one.kind === 'leave') turns.splice(one.nth, 1)[0]?.leave(true);
            else clock.advance(one.ms);
            check();
          }
          const rounds = Math.ceil(turns.length / max);
          for (let round = 0; round < 2 * rounds; round += 1) {
            clock.advance(TURN_MS);
            check();
          }
          expect(turns.every((turn) => served.has(turn))).toBe(true);
          for (const turn of turns) turn.leave(true);
          expect([shown, clock.pending]).toEqual([[0, 0], 0]);
        },
      ),
    );
  });
});
