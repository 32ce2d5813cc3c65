import { describe, expect, it, jest } from '@jest/globals';

/** What was compared in constant time. */
const compared: [Uint8Array, Uint8Array][] = [];
const crypto = await import('node:crypto');
jest.unstable_mockModule('node:crypto', () => ({
  ...crypto,
  timingSafeEqual: (a: Uint8Array, b: Uint8Array): boolean => {
    compared.push([a, b]);
    return crypto.timingSafeEqual(a, b);
  },
}));
const { singleKeyAuthenticator } = await import('./authenticator.ts');

describe('singleKeyAuthenticator', () => {
  it('accepts the key and nothing else', () => {
    const { accepts } = singleKeyAuthenticator('secret');
    expect(accepts('secret')).toBe(true);
    for (const key of ['', 's', 'secre', 'secret ', 'Secret', 'secret\0', 'secretsecret'])
      expect([key, accepts(key)]).toEqual([key, false]);
  });

  it('rejects everyone when the server has no key, the empty key included (Y5)', () => {
    const { accepts } = singleKeyAuthenticator('');
    expect(accepts('')).toBe(false);
    expect(accepts('anything')).toBe(false);
  });

  it('compares in constant time, over digests of one length whatever the length of the keys', () => {
    for (const [serverKey, key] of [
      ['secret', 'secret'],
      ['secret', 'sxxxxx'],
      ['secret', ''],
      ['secret', 'x'.repeat(10_000)],
      ['', ''],
    ] as const) {
      compared.length = 0;
      singleKeyAuthenticator(serverKey).accepts(key);
      expect(compared.map((pair) => pair.map((side) => side.length))).toEqual([[32, 32]]);
    }
  });
});
