import { describe, expect, it } from '@jest/globals';
import { heldLoad, rateLoad } from './scenario.ts';
import { arrivals, countArrivals, type Phase } from './schedule.ts';

const moments = (phases: readonly Phase[]): number[] =>
  [...arrivals(phases)].map(({ atMs }) => Math.round(atMs));

const steady = (sessionsPerSecond: number, seconds: number): Phase => ({
  name: 'steady',
  seconds,
  sessionsPerSecond,
});

describe('arrivals', () => {
  it('come evenly, the first at once', () => {
    expect(moments([steady(2, 2)])).toEqual([0, 500, 1000, 1500]);
  });

  it('come ever faster in a ramp', () => {
    const ramp = { ...steady(0, 10), rampTo: 2 };
    // So many have begun after t seconds: t² / 10.
    const expected = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) =>
      Math.round(Math.sqrt(10 * n) * 1000),
    );
    expect(moments([ramp])).toEqual(expected);
  });

  it('come ever slower when the rate sinks, and none is lost', () => {
    const at = moments([{ ...steady(4, 2), rampTo: 0 }]);
    const gaps = at.slice(1).map((ms, i) => ms - (at[i] ?? 0));
    expect(at).toHaveLength(4);
    expect([...gaps].sort((a, b) => a - b)).toEqual(gaps);
    expect(at.at(-1)).toBeLessThan(2_000);
  });

  it('count fractions on from phase to phase', () => {
    const phases = [steady(0.5, 1), steady(0.5, 1), steady(0.5, 1), steady(0.5, 1)];
    const all = [...arrivals(phases)];
    expect(all.map(({ atMs, phase }) => [atMs, phase])).toEqual([
      [0, 0],
      [2_000, 2],
    ]);
  });

  it('leave out a phase without load', () => {
    const all = [...arrivals([steady(1, 2), steady(0, 5), steady(1, 1)])];
    expect(all.map(({ index, atMs, phase }) => [index, atMs, phase])).toEqual([
      [0, 0, 0],
      [1, 1_000, 0],
      [2, 7_000, 2],
    ]);
  });

  it.each<[string, Phase[]]>([
    ['a rate', rateLoad(3.7, 0, 61)],
    ['a rate with a ramp', rateLoad(3.7, 7, 54)],
    ['a rate that is a ramp alone', rateLoad(5, 10, 0)],
    ['held sessions', heldLoad(1000, 7, 30)],
    ['a third', heldLoad(1, 3, 1)],
  ])('of %s are as many as are counted, in order and within their phases', (_, phases) => {
    const all = [...arrivals(phases)];
    expect(all).toHaveLength(countArrivals(phases));
    expect(all.map(({ index }) => index)).toEqual(all.map((__, index) => index));
    const at = all.map(({ atMs }) => atMs);
    expect([...at].sort((a, b) => a - b)).toEqual(at);
    const ends = phases.map((__, i) => phases.slice(0, i + 1).reduce((s, p) => s + p.seconds, 0));
    for (const { atMs, phase } of all) {
      expect(atMs).toBeGreaterThanOrEqual((ends[phase - 1] ?? 0) * 1000);
      expect(atMs).toBeLessThanOrEqual((ends[phase] ?? 0) * 1000);
    }
  });

  it('are exactly the sessions asked for when these are held', () => {
    for (const sessions of [1, 3, 7, 99, 1000])
      expect(countArrivals(heldLoad(sessions, sessions / 10, 5))).toBe(sessions);
  });
});
