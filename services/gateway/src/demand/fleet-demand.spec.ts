import { describe, expect, it } from '@jest/globals';
import {
  ANY_MODEL,
  FleetDemand,
  type FleetDemandOptions,
  type FleetLoad,
  type PoolLoad,
} from './fleet-demand.ts';

const pool = (over: Partial<PoolLoad> = {}): PoolLoad => ({
  models: ['m'],
  slots: 10,
  leased: 0,
  leaving: 0,
  ...over,
});
const NOBODY: FleetLoad = {
  pools: new Map(),
  waiting: new Map(),
  moving: 0,
  refused: new Map(),
  came: new Map(),
  jobs: 0,
};
const fleet = (pools: Record<string, PoolLoad>, over: Partial<FleetLoad> = {}): FleetLoad => ({
  ...NOBODY,
  pools: new Map(Object.entries(pools)),
  ...over,
});
const demandOf = (over: Partial<FleetDemandOptions> = {}): FleetDemand =>
  new FleetDemand({ pools: [], weights: new Map(), warmupMs: () => 300_000, ...over });
const told = (demand: FleetDemand, load: FleetLoad, atMs = 0): Record<string, number> =>
  Object.fromEntries([...demand.update(load, atMs)].map(([name, one]) => [name, one.demand]));
const once = (load: FleetLoad, over: Partial<FleetDemandOptions> = {}): Record<string, number> =>
  told(demandOf(over), load);

describe('FleetDemand', () => {
  it('counts who runs where it runs, and shares who waits or was refused by slots', () => {
    const load = fleet(
      { a: pool({ slots: 30, leased: 30 }), b: pool({ slots: 10, leased: 9 }) },
      { waiting: new Map([[ANY_MODEL, 4]]), refused: new Map([['m', 8]]) },
    );
    expect(once(load)).toEqual({ a: 39, b: 12 });
  });

  it('shares by weight where there is one, and gives nothing to a pool of weight 0', () => {
    const pools = { a: pool({ slots: 30 }), b: pool(), c: pool({ leased: 3 }) };
    const weights = new Map([
      ['a', 3],
      ['b', 1],
      ['c', 0],
    ]);
    const load = fleet(pools, { waiting: new Map([[ANY_MODEL, 8]]) });
    expect(once(load, { weights })).toEqual({ a: 6, b: 2, c: 3 });
    const named = new Map([['a', 3]]);
    expect(
      once(fleet({ a: pool(), b: pool() }, { waiting: new Map([['m', 8]]) }), { weights: named }),
    ).toEqual({ a: 6, b: 2 });
  });

  it('asks only pools that serve what is wished for', () => {
    const pools = { a: pool(), b: pool({ models: ['other'] }) };
    const load = fleet(pools, { waiting: new Map([['other', 5]]) });
    expect(once(load)).toEqual({ a: 0, b: 5 });
  });

  it('gives a pool without workers its part by weight, and all of it where nobody else could serve it', () => {
    const weights = new Map([
      ['a', 1],
      ['b', 1],
    ]);
    const load = fleet({ a: pool() }, { waiting: new Map([[ANY_MODEL, 4]]) });
    expect(once(load, { weights })).toEqual({ a: 2, b: 2 });
    const unserved = fleet({ a: pool() }, { waiting: new Map([['new', 4]]) });
    expect(once(unserved, { pools: ['b'] })).toEqual({ a: 0, b: 4 });
  });

  it('lets pools with workers have all where no weights say otherwise', () => {
    const load = fleet({ a: pool() }, { waiting: new Map([[ANY_MODEL, 4]]) });
    expect(once(load, { pools: ['b'] })).toEqual({ a: 4, b: 0 });
  });

  it('tells of a known pool without workers, and of none that is not known', () => {
    expect([...demandOf({ pools: ['a'] }).update(NOBODY, 0)]).toEqual([
      ['a', { slots: 0, leased: 0, demand: 0 }],
    ]);
    expect(demandOf().update(NOBODY, 0).size).toBe(0);
  });

  it('wants a slot elsewhere for each session on a worker that drains, once', () => {
    const pools = { a: pool({ leased: 10, leaving: 6 }), b: pool({ slots: 20 }) };
    const sum = (load: FleetLoad): number =>
      Object.values(once(load)).reduce((all, one) => all + one, 0);
    expect(sum(fleet(pools))).toBeCloseTo(10);
    expect(sum(fleet(pools, { waiting: new Map([[ANY_MODEL, 4]]), moving: 4 }))).toBeCloseTo(10);
    expect(sum(fleet(pools, { waiting: new Map([[ANY_MODEL, 9]]), moving: 6 }))).toBeCloseTo(13);
    expect(once(fleet(pools))['b']).toBeCloseTo(4);
  });

  it('keeps what a pool had that was lost with all its workers', () => {
    const load = fleet({ a: pool({ models: [], slots: 0, leased: 5, leaving: 5 }) });
    expect(once(load)).toEqual({ a: 5 });
  });

  it('wants one worker for jobs where nobody else wants any, and none beside sessions', () => {
    const weights = new Map([
      ['a', 1],
      ['b', 2],
    ]);
    expect(once({ ...NOBODY, jobs: 7 }, { weights })).toEqual({ a: 0, b: 1 });
    const awake = fleet({ a: pool() }, { jobs: 7 });
    expect(once(awake, { weights })).toEqual({ a: 1, b: 0 });
    expect(once(fleet({ a: pool({ leased: 1 }) }, { jobs: 7 }))).toEqual({ a: 1 });
    expect(once({ ...NOBODY, jobs: 7 }, { pools: ['a', 'b'] })).toEqual({ a: 1, b: 0 });
  });

  it('adds what is expected while a worker warms up, of each pool by its own time', () => {
    const demand = demandOf({
      weights: new Map([
        ['a', 1],
        ['b', 1],
      ]),
      warmupMs: (name) => (name === 'a' ? 0 : 300_000),
    });
    let last: Record<string, number> = {};
    // Sessions of 300 s; from 20 min on three times as many come.
    let sessions = 300;
    for (let atS = 0; atS <= 1_500; atS += 5) {
      const came = atS < 1_200 ? 5 : 15;
      sessions += came - sessions / 60;
      const leased = sessions / 2;
      const load = fleet({ a: pool({ leased }), b: pool({ leased }) });
      last = told(demand, { ...load, came: new Map([[ANY_MODEL, came]]) }, atS * 1000);
    }
    expect(last['a']).toBeCloseTo(sessions / 2);
    expect(last['b']).toBeGreaterThan(sessions / 2 + 50);
  });

  it('foresees growth of one model for the pools that serve it', () => {
    const demand = demandOf();
    let growth = { a: 0, b: 0 };
    let sessions = 300;
    for (let atS = 0; atS <= 1_500; atS += 5) {
      const came = atS < 1_200 ? 5 : 15;
      sessions += came - sessions / 60;
      const pools = { a: pool({ leased: sessions }), b: pool({ models: ['n'], leased: 300 }) };
      const cameOf = new Map([
        ['m', came],
        ['n', 5],
      ]);
      const { a = 0, b = 0 } = told(demand, { ...fleet(pools), came: cameOf }, atS * 1000);
      growth = { a: a - sessions, b: b - 300 };
    }
    expect(growth.a).toBeGreaterThan(100);
    expect(growth.b).toBeLessThan(3);
  });

  it('shows slots and sessions as they are', () => {
    const load = fleet({ a: pool({ slots: 12, leased: 9, leaving: 4 }) });
    expect(demandOf().update(load, 0).get('a')).toMatchObject({ slots: 12, leased: 9 });
  });
});
