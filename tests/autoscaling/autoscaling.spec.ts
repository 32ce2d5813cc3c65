import { describe, expect, it } from '@jest/globals';
import { type LoadName, meanOf, run, type SignalName } from './scenarios.ts';

/** Other seeds than those which the numbers were chosen with. */
const SEEDS = [101, 102, 103];
const of = (load: LoadName, signal: SignalName, seeds: readonly number[] = SEEDS) =>
  meanOf(seeds.map((seed) => run(load, signal, seed)));

describe('a pool that is scaled by the demand its gateways tell', () => {
  const ramp = of('ramp', 'demand');

  it('refuses hardly anybody on a ramp to ten times the load, and does not idle', () => {
    expect(ramp.arrived).toBeGreaterThan(40_000);
    expect(ramp.refusedShare).toBeLessThan(0.005);
    expect(ramp.waitP95S).toBe(0);
    expect(ramp.idleShare).toBeLessThan(0.25);
    expect(ramp.idleMeanShare).toBeLessThan(0.25);
    expect(ramp.lost).toBe(0);
  });

  it('does so on a ramp that is twice as steep', () => {
    const steep = of('steep', 'demand');
    expect(steep.refusedShare).toBeLessThan(0.005);
    expect(steep.idleShare).toBeLessThan(0.25);
    expect(steep.idleMeanShare).toBeLessThan(0.25);
  });

  it('follows a day up and down', () => {
    const day = of('day', 'demand', [101]);
    expect(day.refusedShare).toBeLessThan(0.001);
    expect(day.idleShare).toBeLessThan(0.25);
    expect(day.idleMeanShare).toBeLessThan(0.25);
    expect(day.lost).toBe(0);
  });

  it('loses no session, and refuses nobody, while pods go', () => {
    const fall = of('fall', 'demand');
    expect(fall.endPods).toBeLessThan(0.3 * fall.peakPods);
    expect(fall.moved).toBeGreaterThan(0);
    expect(fall.lost).toBe(0);
    expect(fall.refusedShare).toBeLessThan(0.001);
  });

  it('owes that to the forecast: without it, more than ten times as many are refused', () => {
    const { refusedShare } = of('ramp', 'demand, no forecast');
    expect(refusedShare).toBeGreaterThan(10 * ramp.refusedShare);
  });
});

describe('a pool that is scaled by CPU', () => {
  it('refuses many on the same ramp, even where requests fit exactly', () => {
    const fitted = of('ramp', 'CPU 80 %, fitted');
    expect(fitted.refusedShare).toBeGreaterThan(0.02);
  });

  it('never grows where a full worker stays below the target', () => {
    const roomy = of('ramp', 'CPU 80 %, roomy', [101]);
    expect(roomy.peakPods).toBe(6);
    expect(roomy.refusedShare).toBeGreaterThan(0.5);
  });
});
