import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { SessionLimits } from './limits.ts';
import { Watchdog } from './watchdog.ts';

type Timeouts = Pick<SessionLimits, 'idleTimeoutMs' | 'maxDurationMs' | 'watchdogTickMs'>;

const NO_RATES = {
  messagesPerWindow: 0,
  messageWindowMs: 1,
  cancelsPerWindow: 0,
  cancelWindowMs: 1,
  inboundQueueMax: 1,
  failover: { timeoutMs: 1, maxLosses: 1 },
};

describe('Watchdog', () => {
  let clock: FakeClock;
  let busy: boolean;
  let met: string[];
  let warned: string[];

  function watch(timeouts: Partial<Timeouts> = {}): Watchdog {
    const limits = {
      ...NO_RATES,
      idleTimeoutMs: 10_000,
      maxDurationMs: 60_000,
      watchdogTickMs: 1_000,
      ...timeouts,
    };
    const watchdog = new Watchdog(clock, limits, () => busy, {
      onLimit: (kind) => met.push(`${kind} at ${clock.now()}`),
      onWarning: (usedS, maxS) => warned.push(`${usedS} of ${maxS}`),
    });
    watchdog.start();
    return watchdog;
  }

  beforeEach(() => {
    clock = new FakeClock();
    clock.advance(123);
    busy = false;
    met = [];
    warned = [];
  });

  it('meets the idle limit at the first tick at or after it, once', () => {
    watch({ idleTimeoutMs: 2_500 });
    clock.advance(100_000);
    expect(met).toEqual(['idle at 3123']);
    expect(clock.pending).toBe(0);
  });

  it('counts idle time from the last touch', () => {
    const watchdog = watch();
    clock.advance(9_999);
    watchdog.touch();
    clock.advance(10_000);
    expect(met).toEqual([]);
    clock.advance(1);
    clock.advance(1_000);
    expect(met).toEqual(['idle at 20123']);
  });

  it('counts no idle time while an utterance is under way, and all of it from its end', () => {
    watch();
    busy = true;
    clock.advance(40_000);
    busy = false;
    clock.advance(9_999);
    expect(met).toEqual([]);
    clock.advance(1);
    expect(met).toEqual(['idle at 50123']);
  });

  it('meets the duration limit whatever the session does', () => {
    const watchdog = watch();
    busy = true;
    for (let second = 1; second < 60; second += 1) {
      clock.advance(1_000);
      watchdog.touch();
    }
    expect(met).toEqual([]);
    clock.advance(5_000);
    expect(met).toEqual(['max-duration at 60123']);
    expect(clock.pending).toBe(0);
  });

  it('meets nothing when both limits are off, nor after a stop', () => {
    watch({ idleTimeoutMs: undefined, maxDurationMs: undefined });
    watch().stop();
    clock.advance(1e7);
    expect(met).toEqual([]);
    expect(clock.pending).toBe(1);
  });

  it('warns once at 80 % and once at 95 % of the longest duration', () => {
    watch({ idleTimeoutMs: undefined, maxDurationMs: 100_000 });
    clock.advance(79_000);
    expect(warned).toEqual([]);
    clock.advance(20_000);
    expect(warned).toEqual(['80 of 100', '95 of 100']);
  });

  it('counts what the session has lived elsewhere', () => {
    watch().stop();
    const watchdog = watch({ idleTimeoutMs: undefined });
    watchdog.stop();
    watchdog.start(50_000);
    clock.advance(10_000);
    expect(met).toEqual(['max-duration at 10123']);
  });
});
