import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { YapServerError, YapTimeout } from './yap-errors.ts';
import { FrameWaiters, withTimeout } from './yap-wait.ts';

const ids = { session_id: 's', request_id: 'a' };
const pong = { type: 'pong', ...ids, payload: {} } as const;
const error = {
  type: 'error',
  ...ids,
  payload: { code: 'invalid_message', message: 'No.', details: { reason_code: 'invalid_message' } },
} as const;

describe('withTimeout', () => {
  it('leaves no timer behind once the promise has settled', async () => {
    const clock = new FakeClock();
    expect(await withTimeout(clock, Promise.resolve(1), 'a number', 10)).toBe(1);
    await expect(withTimeout(clock, Promise.reject(new Error('x')), 'y', 10)).rejects.toThrow('x');
    expect(clock.pending).toBe(0);
  });

  it('names what was awaited', async () => {
    const clock = new FakeClock();
    const wait = withTimeout(clock, new Promise(() => {}), 'rain', 1_500);
    clock.advance(1_500);
    await expect(wait).rejects.toThrow('Timed out after 1.5 s waiting for rain.');
  });
});

describe('FrameWaiters', () => {
  it('gives a waiter only the frame of its type and id', async () => {
    const clock = new FakeClock();
    const waiters = new FrameWaiters(clock);
    const mine = waiters.next({ type: 'pong', requestId: 'a', timeoutMs: 100 });
    const other = waiters.next({ type: 'pong', requestId: 'b', timeoutMs: 100 });
    waiters.receive(pong);
    clock.advance(100);
    expect(await mine).toBe(pong);
    await expect(other).rejects.toBeInstanceOf(YapTimeout);
  });

  it('fails at an error frame of its id or of no known id, not at those of others', async () => {
    const waiters = new FrameWaiters(new FakeClock());
    const mine = waiters.next({ type: 'pong', requestId: 'a', timeoutMs: 100 });
    const other = waiters.next({ type: 'pong', requestId: 'b', timeoutMs: 100 });
    waiters.receive(error);
    await expect(mine).rejects.toBeInstanceOf(YapServerError);
    waiters.receive({ ...error, request_id: 'unknown' });
    await expect(other).rejects.toBeInstanceOf(YapServerError);
  });

  it('hands out an error frame to whoever waits for one', async () => {
    const waiters = new FrameWaiters(new FakeClock());
    const wait = waiters.next({ type: 'error', timeoutMs: 100 });
    waiters.receive(error);
    expect(await wait).toBe(error);
  });
});
