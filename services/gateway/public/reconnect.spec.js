import { describe, expect, it } from '@jest/globals';
import { afterClose, delayBeforeTry } from './reconnect.js';

describe('the way back to the server', () => {
  it('is tried five times, each after twice the time', () => {
    const delays = Array.from({ length: 7 }, (_, number) => delayBeforeTry(number));
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, undefined, undefined]);
  });

  it.each([
    [{ code: 1006 }, 'retry'],
    [{ code: 1012 }, 'retry'],
    [{ code: 1013, fatal: 'AT_CAPACITY' }, 'retry'],
    [{ code: 1011, fatal: 'INTERNAL' }, 'retry'],
    [{ code: 1008, fatal: 'UNAUTHORIZED' }, 'give-up'],
    [{ code: 1008 }, 'give-up'],
    [{ code: 1002, fatal: 'PROTOCOL_VIOLATION' }, 'give-up'],
    [{ code: 1013, fatal: 'STREAMING_DISABLED' }, 'give-up'],
    [{ code: 1000 }, 'rest'],
    [{ code: 4000 }, 'rest'],
  ])('after %j is: %s', (close, next) => {
    expect(afterClose(close)).toBe(next);
  });
});
