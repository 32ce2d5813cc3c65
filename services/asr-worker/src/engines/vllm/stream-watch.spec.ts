import { beforeEach, describe, expect, it } from '@jest/globals';
import { StreamWatch, WATCH_DEFAULTS } from './stream-watch.ts';
import { DeltaTiming } from './timing.ts';

const timing = new DeltaTiming(6);
const ms = (value: number): number => value * 16;

describe('StreamWatch', () => {
  let watch: StreamWatch;
  beforeEach(() => {
    watch = new StreamWatch(timing, WATCH_DEFAULTS);
  });
  const causeAt = (nowMs: number): string | undefined => watch.check(nowMs)?.cause;

  /** Real time from 0 on; deltas come as they are due, until `deltasUntilMs`. */
  function live(untilMs: number, deltasUntilMs = untilMs): void {
    for (let nowMs = 80; nowMs <= untilMs; nowMs += 80) {
      watch.onSent(ms(nowMs), nowMs);
      if (nowMs <= deltasUntilMs) while (watch.owed > 0) watch.onDelta(nowMs);
    }
  }

  it('is content while each delta comes, and while none is owed', () => {
    live(60_000);
    expect(causeAt(60_000)).toBeUndefined();
    expect(causeAt(600_000)).toBeUndefined();
  });

  it('waits for the audio that the first delta needs before it counts', () => {
    watch.onSent(ms(500), 0);
    expect(causeAt(60_000)).toBeUndefined();
    watch.onSent(ms(563), 60_000);
    expect(causeAt(61_999)).toBeUndefined();
    expect(causeAt(62_000)).toBe('first_delta');
  });

  it('misses deltas that stop coming', () => {
    live(8_000, 5_040);
    expect(causeAt(5_120 + 1_999)).toBeUndefined();
    expect(causeAt(5_120 + 2_000)).toBe('cadence');
  });

  it('misses the end, from the last sign of life on', () => {
    live(2_000);
    watch.onFinal(ms(2_000), 2_000);
    for (let nowMs = 2_100; nowMs <= 6_000; nowMs += 300) watch.onDelta(nowMs);
    expect(causeAt(6_000 + 4_800)).toBeUndefined();
    expect(causeAt(6_000 + 5_000)).toBe('done');
  });

  it('gives up on an engine at less than half of real time, after ten seconds of it', () => {
    for (let nowMs = 80; nowMs <= 12_000; nowMs += 80) {
      watch.onSent(ms(nowMs), nowMs);
      if (nowMs % 240 === 0) watch.onDelta(nowMs);
    }
    expect(causeAt(12_000)).toBe('slow');
  });

  it('bears one that is somewhat too slow: that is for admission to mend', () => {
    for (let nowMs = 80; nowMs <= 30_000; nowMs += 80) {
      watch.onSent(ms(nowMs), nowMs);
      if (nowMs % 640 !== 0) watch.onDelta(nowMs);
      expect(causeAt(nowMs)).toBeUndefined();
    }
  });
});
