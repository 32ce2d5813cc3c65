import { describe, expect, it } from '@jest/globals';
import { RecoveryBudget } from './recovery-budget.ts';

const SECOND = 16_000;
const longest = (): number => 1;

describe('RecoveryBudget', () => {
  it('lets the first attempt begin at once and the later ones after ever longer waits', () => {
    const budget = new RecoveryBudget(7);
    const waits = Array.from({ length: 8 }, () => budget.spend(0, longest));
    expect(waits).toEqual([0, 250, 500, 1_000, 2_000, 4_000, 4_000, undefined]);
    expect(budget.attempt).toBe(8);
  });

  it('allows none where there are to be none', () => {
    expect(new RecoveryBudget(0).spend(0)).toBeUndefined();
  });

  it('counts anew only when the engine has heard 10 s since the fault', () => {
    const budget = new RecoveryBudget(1);
    expect(budget.spend(5 * SECOND)).toBe(0);
    budget.heard(15 * SECOND - 1);
    expect(budget.attempt).toBe(1);
    budget.heard(15 * SECOND);
    expect(budget.attempt).toBe(0);
    expect(budget.spend(20 * SECOND)).toBe(0);
    budget.heard(25 * SECOND);
    expect(budget.spend(25 * SECOND)).toBeUndefined();
  });
});
