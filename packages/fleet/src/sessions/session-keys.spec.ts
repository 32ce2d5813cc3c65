import { describe, expect, it } from '@jest/globals';
import { chargedKey, sessionKeys, usageKey } from './session-keys.ts';

describe('the keys of sessions and usage', () => {
  const keys = [
    ...Object.values(sessionKeys('a.b', 'sess_1')),
    ...Object.values(sessionKeys('c', 'sess_1')),
    ...Object.values(sessionKeys('a.b', 'sess_2')),
    chargedKey('sess_1'),
    chargedKey('sess_2'),
    usageKey('t', '2026-01-31'),
    usageKey('t', '2026-02-01'),
    usageKey('u', '2026-01-31'),
  ];

  it('share one hash tag, so that a save may write a session and book its audio', () => {
    expect(new Set(keys.map((key) => /\{(.+?)\}/.exec(key)?.[1]))).toEqual(new Set(['sessions']));
  });

  it('differ by fleet, session, tenant and day', () => {
    expect(new Set(keys).size).toBe(keys.length);
  });
});
