import { describe, expect, it } from '@jest/globals';
import { DecoderPool } from './decoder-pool.ts';

describe('DecoderPool', () => {
  it('makes no more than it needs, and never more than its limit', async () => {
    let made = 0;
    const pool = new DecoderPool(2, async () => ++made);
    (await pool.lend()).giveBack();
    const first = await pool.lend();
    expect(made).toBe(1);
    const second = await pool.lend();
    const third = pool.lend();
    second.giveBack();
    expect([first.item, second.item, (await third).item]).toEqual([1, 2, 2]);
    expect(made).toBe(2);
  });

  it('takes a loan back once', async () => {
    let made = 0;
    const pool = new DecoderPool(2, async () => ++made);
    const loan = await pool.lend();
    loan.giveBack();
    loan.giveBack();
    const [one, two] = await Promise.all([pool.lend(), pool.lend()]);
    expect(one.item).not.toBe(two.item);
  });
});
