import { describe, expect, it } from '@jest/globals';
import { fleetKeys, scriptKeys } from './keys.ts';

describe('fleetKeys', () => {
  it('gives every key of a fleet the same hash tag, so that a cluster keeps them in one slot', () => {
    const tags = Object.values(fleetKeys('voxtral-4b')).map((key) => /\{(.+?)\}/.exec(key)?.[1]);
    expect(new Set(tags)).toEqual(new Set(['voxtral-4b']));
  });

  it('hands every key to the scripts, none twice', () => {
    const keys = fleetKeys('p');
    expect([...scriptKeys(keys)].sort()).toEqual(Object.values(keys).sort());
    expect(new Set(scriptKeys(keys)).size).toBe(Object.keys(keys).length);
  });

  it.each(['', 'a}b', 'a{b', 'a b'])(
    'refuses the fleet name %j, which would break the hash tag',
    (fleet) => {
      expect(() => fleetKeys(fleet)).toThrow(RangeError);
    },
  );
});
