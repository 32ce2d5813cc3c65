import { describe, expect, it } from '@jest/globals';
import { Forecast } from './forecast.ts';

const LASTS_S = 300;
const AHEAD_MS = 300_000;

interface Seen {
  readonly atS: number;
  readonly sessions: number;
  readonly growth: number;
}

/** Feeds a crowd without chance: so many come in a second, and each stays for LASTS_S on the average. */
function watch(perSecond: (atS: number) => number, seconds: number, from = 0): Seen[] {
  const forecast = new Forecast();
  const seen: Seen[] = [];
  let sessions = from;
  let came = 0;
  for (let atS = 0; atS <= seconds; atS += 1) {
    sessions += perSecond(atS) - sessions / LASTS_S;
    came += perSecond(atS);
    if (atS % 5 !== 0) continue;
    forecast.note(atS * 1000, sessions, came);
    came = 0;
    seen.push({ atS, sessions, growth: forecast.growth(AHEAD_MS) });
  }
  return seen;
}

const at = (seen: readonly Seen[], atS: number): Seen =>
  seen.find((one) => one.atS === atS) as Seen;

describe('Forecast', () => {
  it('foresees nothing while it does not know how long sessions last', () => {
    const forecast = new Forecast();
    expect(forecast.growth(AHEAD_MS)).toBe(0);
    for (let index = 0; index < 100; index += 1) forecast.note(index * 5_000, index, 1);
    expect(forecast.growth(AHEAD_MS)).toBe(0);
  });

  it('foresees no growth where as many come as go', () => {
    for (const { growth } of watch(() => 2, 3_600, 600)) expect(growth).toBeLessThan(6);
  });

  it('sees in arrivals what the number of sessions does not show yet', () => {
    const seen = watch((atS) => (atS < 1_800 ? 1 : 2), 2_400, 300);
    const { sessions, growth } = at(seen, 2_000);
    // Another 300 are on their way; after 200 s of them 150 or so are there. It may be a ramp that begins.
    expect(sessions).toBeLessThan(460);
    expect(sessions + growth).toBeGreaterThan(500);
    expect(sessions + growth).toBeLessThan(850);
  });

  it('is ahead of a steady ramp by about what a worker takes to warm up', () => {
    const ramp = (atS: number): number => 1 + Math.max(0, atS - 1_800) / 300;
    const seen = watch(ramp, 4_200, 300);
    for (let atS = 2_700; atS <= 3_600; atS += 100) {
      const then = at(seen, atS + AHEAD_MS / 1000).sessions;
      const { sessions, growth } = at(seen, atS);
      expect((sessions + growth) / then).toBeGreaterThan(0.9);
      expect((sessions + growth) / then).toBeLessThan(1.15);
    }
  });

  it('ends with the ramp: what is there and what is foreseen stay near the peak', () => {
    const peak = 5 * LASTS_S;
    const seen = watch((atS) => Math.min(5, 1 + Math.max(0, atS - 1_800) / 300), 7_200, 300);
    for (const { atS, sessions, growth } of seen)
      if (atS > 3_000) expect(sessions + growth).toBeLessThan(1.25 * peak);
    expect(at(seen, 3_900).growth).toBeLessThan(0.1 * peak);
    expect(at(seen, 7_200).growth).toBeLessThan(0.02 * peak);
  });

  it('never tells less than nothing when sessions become fewer', () => {
    for (const { growth } of watch((atS) => (atS < 1_800 ? 3 : 0.2), 4_000, 900))
      expect(growth).toBeGreaterThanOrEqual(0);
    expect(watch((atS) => (atS < 1_800 ? 3 : 0.2), 4_000, 900).at(-1)?.growth).toBeLessThan(3);
  });

  it('takes a gap in what it sees as it is, and a sample out of order as none', () => {
    const forecast = new Forecast();
    const feed = (fromS: number, toS: number): void => {
      for (let atS = fromS; atS <= toS; atS += 5) forecast.note(atS * 1000, 300, 5);
    };
    feed(0, 1_500);
    feed(1_620, 2_400);
    const before = forecast.growth(AHEAD_MS);
    expect(before).toBeLessThan(20);
    forecast.note(1_000_000, 90_000, 90_000);
    expect(forecast.growth(AHEAD_MS)).toBe(before);
  });

  it('is idle when nobody was there for as long as it remembers', () => {
    const forecast = new Forecast();
    forecast.note(0, 1, 1);
    forecast.note(5_000, 0, 0);
    expect(forecast.idle).toBe(false);
    for (let atS = 10; atS < 1_900; atS += 5) forecast.note(atS * 1000, 0, 0);
    expect(forecast.idle).toBe(true);
  });
});
