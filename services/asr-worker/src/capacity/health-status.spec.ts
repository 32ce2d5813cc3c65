import { describe, expect, it } from '@jest/globals';
import { type HealthStatus, healthStatus } from './health-status.ts';

describe('healthStatus', () => {
  it.each([
    [undefined, 0, 'healthy'],
    [0, 0, 'healthy'],
    [0.799, 3, 'healthy'],
    [0.8, 0, 'warning'],
    [0.999, 0, 'warning'],
    [1, 0, 'degraded'],
    [1.199, 0, 'degraded'],
    [1.2, 0, 'critical'],
    [50, 3, 'critical'],
    [undefined, 4, 'error'],
    [0.1, 4, 'error'],
    [1.5, 4, 'error'],
  ] satisfies [number | undefined, number, HealthStatus][])(
    'E18: a real-time factor of %p after %p errors in a row is %p',
    (factor, errors, status) => {
      expect(healthStatus(factor, errors)).toBe(status);
    },
  );

  it('E18: moves from healthy to error and back as load and errors come and go', () => {
    const steps: [number, number][] = [
      [0.5, 0],
      [0.8, 0],
      [1.0, 1],
      [1.2, 3],
      [1.2, 4],
      [1.1, 0],
      [0.3, 0],
    ];
    expect(steps.map(([factor, errors]) => healthStatus(factor, errors))).toEqual([
      'healthy',
      'warning',
      'degraded',
      'critical',
      'error',
      'degraded',
      'healthy',
    ]);
  });
});
