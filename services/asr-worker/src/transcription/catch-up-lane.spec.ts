import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { CatchUp, type CatchUpTurn, TURN_MS } from './catch-up.ts';
import { CatchUpLane } from './catch-up-lane.ts';

const SECOND = 16_000;

describe('CatchUpLane', () => {
  let clock: FakeClock;
  let catchUp: CatchUp;
  let source: { samples: number; freshSamples: number; owes: boolean; patient: boolean };
  let turns: number;
  let lane: CatchUpLane;

  beforeEach(() => {
    clock = new FakeClock();
    const stats = { onChange: () => undefined, onCaughtUp: () => undefined };
    catchUp = new CatchUp({ clock, permits: () => 1, stats });
    source = { samples: 0, freshSamples: 0, owes: false, patient: false };
    turns = 0;
    lane = new CatchUpLane(source, catchUp, () => {
      turns += 1;
    });
  });

  const waits = (seconds: number, freshSeconds = seconds): void => {
    source.samples = seconds * SECOND;
    source.freshSamples = freshSeconds * SECOND;
  };
  const other = (): CatchUpTurn => catchUp.enter(() => undefined);

  it('lets live audio through, however many catch up', () => {
    other();
    for (const seconds of [0, 0.1, 0.9, 1]) {
      waits(seconds);
      expect(lane.admits(false)).toBe(true);
    }
    // The overlap of a planned cut is heard twice; that is no delay.
    waits(1.8, 1);
    expect(lane.admits(false)).toBe(true);
    expect(source.patient).toBe(false);
  });

  it.each([
    ['more than a second waits', false, false, 1.1, 1.1],
    ['it recovers', true, false, 2, 0],
    ['audio is owed from before', false, true, 0.6, 0.6],
  ])('waits for its turn when %s', (_what, recovering, owes, seconds, fresh) => {
    const first = other();
    source.owes = owes;
    waits(seconds, fresh);
    expect([lane.admits(recovering), turns]).toEqual([false, 0]);
    first.leave(true);
    expect([turns, lane.admits(recovering)]).toEqual([1, true]);
  });

  it('gives its turn up when less than half a second waits, and not before', () => {
    waits(2);
    lane.admits(false);
    waits(0.5);
    expect(lane.admits(false)).toBe(true);
    const next = other();
    expect(next.granted).toBe(false);
    waits(0.49);
    expect([lane.admits(false), next.granted]).toEqual([true, true]);
  });

  it('lets more than usual wait for a turn, and no longer than one turn takes', () => {
    const first = other();
    waits(2);
    lane.admits(false);
    expect(source.patient).toBe(true);
    first.leave(true);
    waits(9);
    lane.onTaken(false);
    expect(source.patient).toBe(true);
    clock.advance(TURN_MS);
    lane.onTaken(false);
    expect(source.patient).toBe(false);
    // Sent to the back as too slow: it must not wait with ever more audio.
    other();
    clock.advance(0);
    expect([lane.admits(false), source.patient]).toEqual([false, false]);
  });

  it('lets more than usual wait behind what is heard again until it is in time, however long that takes', () => {
    lane.expectReplay();
    source.owes = true;
    waits(30);
    lane.admits(false);
    clock.advance(3 * TURN_MS);
    lane.onTaken(false);
    source.owes = false;
    lane.onTaken(true);
    lane.onTaken(false);
    expect(source.patient).toBe(true);
    waits(0.9);
    lane.onTaken(false);
    expect(source.patient).toBe(false);
  });

  it('lets everything through where there are no turns', () => {
    waits(60);
    const free = new CatchUpLane(source, undefined, () => undefined);
    expect([free.admits(true), source.patient]).toEqual([true, false]);
  });
});
