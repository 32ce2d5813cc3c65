import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { dayName, dayNumber } from './utc-day.ts';

describe('dayName and dayNumber', () => {
  it('count from 1970-01-01', () => {
    expect([dayName(0), dayName(31), dayName(20_000)]).toEqual([
      '1970-01-01',
      '1970-02-01',
      '2024-10-04',
    ]);
  });

  it('are each other’s reverse', () => {
    fc.assert(
      fc.property(fc.nat(100_000), (day) => {
        expect(dayNumber(dayName(day))).toBe(day);
      }),
    );
  });

  it.each(['', '2026-02-30', '2026-13-01', '2026-1-1', '26-01-01', '2026-01-01T00', ' 2026-01-01'])(
    'know no day %j',
    (name) => {
      expect(dayNumber(name)).toBeUndefined();
    },
  );
});
