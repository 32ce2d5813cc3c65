import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  formatCredential,
  keyPrefix,
  newCredential,
  parseCredential,
  secretDigest,
} from './credential.ts';

const hex = fc.stringMatching(/^[0-9a-f]{16}$/);
const secret = fc.stringMatching(/^[A-Za-z0-9_-]{43}$/);

describe('parseCredential', () => {
  it('gives back id and secret of whatever was formatted, underscores in the secret or not', () => {
    fc.assert(
      fc.property(fc.constantFrom('key', 'token'), hex, secret, (kind, id, hidden) => {
        const credential = { kind, id, secret: hidden } as const;
        expect(parseCredential(formatCredential(credential))).toEqual(credential);
      }),
    );
  });

  it('takes nothing that formatCredential would write otherwise, and never throws', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc
        .tuple(fc.constantFrom('vf', 'vft', 'VF', 'vfx', ''), hex, secret, fc.string())
        .map(([prefix, id, hidden, tail]) => `${prefix}_${id}_${hidden}${tail}`),
      fc
        .tuple(hex, secret, fc.nat(70))
        .map(([id, hidden, cut]) => `vf_${id}_${hidden}`.slice(0, cut)),
    );
    fc.assert(
      fc.property(text, (given) => {
        const parsed = parseCredential(given);
        if (parsed) expect(formatCredential(parsed)).toBe(given);
      }),
    );
  });

  it.each([
    '',
    'vf_',
    `vf_${'0'.repeat(16)}_`,
    `vf_${'0'.repeat(16)}_${'a'.repeat(42)}`,
    `vf_${'0'.repeat(16)}_${'a'.repeat(44)}`,
    `vf_${'G'.repeat(16)}_${'a'.repeat(43)}`,
    `vf_${'0'.repeat(16)}_${'a'.repeat(43)}\n`,
    ` vf_${'0'.repeat(16)}_${'a'.repeat(43)}`,
    'x'.repeat(10_000_000),
  ])('refuses %.40j', (text) => {
    expect(parseCredential(text)).toBeUndefined();
  });
});

describe('newCredential', () => {
  it('is never the same twice, and reads back', () => {
    const made = Array.from({ length: 200 }, () => newCredential('key'));
    expect(new Set(made.map(({ id }) => id)).size).toBe(made.length);
    expect(new Set(made.map((one) => one.secret)).size).toBe(made.length);
    for (const credential of made) {
      const text = formatCredential(credential);
      expect(parseCredential(text)).toEqual(credential);
      expect(text.startsWith(keyPrefix(credential.id))).toBe(true);
    }
  });
});

it('secretDigest is SHA-256', () => {
  expect(secretDigest('abc').toString('hex')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
});
