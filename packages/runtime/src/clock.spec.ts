import { describe, expect, it } from '@jest/globals';
import { type Clock, sleep, systemClock, type Timer } from './clock.ts';

/** A clock with one timer, which the test runs by hand. */
class OneTimer implements Clock {
  run: (() => void) | undefined;
  now = (): number => 0;
  wallNow = (): number => 0;
  after(_delayMs: number, run: () => void): Timer {
    this.run = run;
    return {
      cancel: () => {
        this.run = undefined;
      },
    };
  }
  every = this.after;
}

describe('systemClock', () => {
  it('runs once after the delay, by a time that does not go back', async () => {
    const beforeMs = systemClock.now();
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    // Node rounds the start of a timer to milliseconds.
    expect(systemClock.now() - beforeMs).toBeGreaterThanOrEqual(18);
  });

  it('runs again and again until cancelled', async () => {
    let runs = 0;
    await new Promise<void>((resolve) => {
      const timer = systemClock.every(2, () => {
        runs += 1;
        if (runs < 3) return;
        timer.cancel();
        resolve();
      });
    });
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    expect(runs).toBe(3);
  });

  it('never runs what was cancelled; cancelling twice does nothing', async () => {
    let ran = false;
    const timer = systemClock.after(1, () => {
      ran = true;
    });
    timer.cancel();
    timer.cancel();
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    expect(ran).toBe(false);
  });

  it('tells the time of day', () => {
    expect(Math.abs(systemClock.wallNow() - Date.now())).toBeLessThan(1_000);
  });
});

describe('sleep', () => {
  it('settles when its time has come', async () => {
    const clock = new OneTimer();
    const sleeping = sleep(clock, 50);
    clock.run?.();
    await expect(sleeping).resolves.toBeUndefined();
  });

  it('rejects with the reason of a signal that aborts, and gives up its timer', async () => {
    const clock = new OneTimer();
    const abort = new AbortController();
    const sleeping = sleep(clock, 50, abort.signal);
    abort.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    expect(clock.run).toBeUndefined();
  });

  it('rejects at once, without a timer, when the signal has aborted before', async () => {
    const clock = new OneTimer();
    await expect(sleep(clock, 50, AbortSignal.abort(new Error('before')))).rejects.toThrow(
      'before',
    );
    expect(clock.run).toBeUndefined();
  });

  it('does not mind a signal that aborts after it has settled', async () => {
    const clock = new OneTimer();
    const abort = new AbortController();
    const sleeping = sleep(clock, 50, abort.signal);
    clock.run?.();
    await sleeping;
    abort.abort(new Error('late'));
    await expect(sleeping).resolves.toBeUndefined();
  });
});
