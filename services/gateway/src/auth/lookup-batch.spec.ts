import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { CredentialRef } from '@voice-fleet/fleet/tenants/credential';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { LookupBatch } from './lookup-batch.ts';

const key = (id: number): CredentialRef => ({ kind: 'key', id: String(id) });
/** Lets everything run that waits for nothing but its turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('LookupBatch', () => {
  let clock: FakeClock;
  let batches: { refs: readonly CredentialRef[]; answer: () => void; fail: (e: Error) => void }[];
  let lookups: LookupBatch;

  beforeEach(() => {
    clock = new FakeClock();
    batches = [];
    lookups = new LookupBatch({
      clock,
      find: (refs) =>
        new Promise((resolve, reject) => {
          const answer = (): void => resolve({ version: '1', found: refs.map(() => undefined) });
          batches.push({ refs, answer, fail: reject });
        }),
    });
  });

  const sizes = (): number[] => batches.map(({ refs }) => refs.length);

  it('asks at once for the first, together with all of the same turn, each id once', async () => {
    const answers = [key(1), key(2), key(1)].map((ref) => lookups.get(ref));
    await turn();
    expect(sizes()).toEqual([2]);
    batches[0]?.answer();
    expect(await Promise.all(answers)).toHaveLength(3);
  });

  it('asks at most each 10 ms, for 500 at most, however many want to know', async () => {
    const wanted = Array.from({ length: 1_200 }, (_, id) => lookups.get(key(id)));
    for (const expected of [[500], [500, 500], [500, 500, 200]]) {
      await turn();
      expect(sizes()).toEqual(expected);
      batches.at(-1)?.answer();
      await turn();
      clock.advance(9);
      await turn();
      expect(sizes()).toEqual(expected);
      clock.advance(1);
    }
    expect(await Promise.all(wanted)).toHaveLength(1_200);
    expect(clock.pending).toBe(0);
  });

  it('tells a key from a token with the same id', async () => {
    void lookups.get({ kind: 'key', id: 'a' });
    void lookups.get({ kind: 'token', id: 'a' });
    await turn();
    expect(sizes()).toEqual([2]);
  });

  it('fails those who wait together with those who asked when Redis is away, and goes on after', async () => {
    const asked = lookups.get(key(1));
    await turn();
    const waiting = lookups.get(key(2));
    batches[0]?.fail(new RedisUnavailable(new Error('hung')));
    await expect(asked).rejects.toThrow(RedisUnavailable);
    await expect(waiting).rejects.toThrow(RedisUnavailable);
    await turn();
    clock.advance(10);
    const next = lookups.get(key(3));
    await turn();
    batches[1]?.answer();
    expect(await next).toEqual({ version: '1', found: undefined });
  });

  it('lets no more than 10 000 wait', async () => {
    const wanted = Array.from({ length: 10_000 }, (_, id) => lookups.get(key(id)));
    await expect(lookups.get(key(10_000))).rejects.toThrow(RedisUnavailable);
    lookups.stop();
    batches[0]?.answer();
    const statuses = (await Promise.allSettled(wanted)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 'fulfilled')).toHaveLength(500);
  });

  it('leaves no timer behind when it is stopped', async () => {
    void lookups.get(key(1));
    await turn();
    batches[0]?.answer();
    await turn();
    const waiting = lookups.get(key(2));
    expect(clock.pending).toBe(1);
    lookups.stop();
    expect(clock.pending).toBe(0);
    await expect(waiting).rejects.toThrow(RedisUnavailable);
    await expect(lookups.get(key(3))).rejects.toThrow(RedisUnavailable);
    expect(clock.pending).toBe(0);
  });
});
