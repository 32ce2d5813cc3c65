import { describe, expect, it } from '@jest/globals';
import { Backpressure } from './backpressure.ts';

const waiting = (events: number, chars = 0) => ({ events, chars });

describe('Backpressure', () => {
  it('P34: begins at the threshold and ends below half of it, once each time', () => {
    const pressure = new Backpressure(50);
    const told = [49, 50, 51, 30, 25, 24, 10, 49, 50, 24].map((n) => pressure.update(waiting(n)));
    expect(told.map((change, index) => [index, change]).filter(([, change]) => change)).toEqual([
      [1, 'on'],
      [5, 'off'],
      [8, 'on'],
      [9, 'off'],
    ]);
  });

  it('holds replies while it lasts, and while much waits to be read', async () => {
    const pressure = new Backpressure(50);
    expect(pressure.relief).toBeUndefined();
    pressure.update(waiting(3, 2_000_000));
    expect(pressure.active).toBe(false);
    let passed = false;
    const relief = pressure.relief?.then(() => {
      passed = true;
    });
    pressure.update(waiting(50, 100));
    await Promise.resolve();
    expect(passed).toBe(false);
    pressure.update(waiting(24, 100));
    await relief;
    expect(pressure.relief).toBeUndefined();
  });

  it('lets all go when its client is gone', async () => {
    const pressure = new Backpressure(2);
    pressure.update(waiting(2));
    const relief = pressure.relief;
    pressure.open();
    await relief;
  });
});
