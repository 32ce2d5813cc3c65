import { describe, expect, it } from '@jest/globals';
import { poolKeys, scriptKeys } from './keys.ts';

describe('poolKeys', () => {
  it('gives every key of a pool the same hash tag, so that a cluster keeps them in one slot', () => {
    const tags = Object.values(poolKeys('voxtral-4b')).map((key) => /\{(.+?)\}/.exec(key)?.[1]);
    expect(new Set(tags)).toEqual(new Set(['voxtral-4b']));
  });

  it('hands every key to the scripts, none twice', () => {
    const keys = poolKeys('p');
    expect([...scriptKeys(keys)].sort()).toEqual(Object.values(keys).sort());
    expect(new Set(scriptKeys(keys)).size).toBe(Object.keys(keys).length);
  });

  it.each(['', 'a}b', 'a{b', 'a b'])(
    'refuses the pool name %j, which would break the hash tag',
    (pool) => {
      expect(() => poolKeys(pool)).toThrow(RangeError);
    },
  );
});
