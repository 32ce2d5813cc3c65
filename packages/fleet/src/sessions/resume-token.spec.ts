import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { hashToken, newResumeToken, sessionOfToken } from './resume-token.ts';

describe('newResumeToken', () => {
  it('names its session and holds 144 bits that are new each time', () => {
    const tokens = Array.from({ length: 50 }, () => newResumeToken('sess_0f'));
    expect(new Set(tokens).size).toBe(50);
    for (const token of tokens) {
      expect(sessionOfToken(token)).toBe('sess_0f');
      expect(Buffer.from(token.slice('sess_0f.'.length), 'base64url')).toHaveLength(18);
    }
  });
});

describe('sessionOfToken', () => {
  const secret = 'A'.repeat(24);

  it.each([
    '',
    '.',
    secret,
    `.${secret}`,
    `s.${secret}A`,
    `s.${secret.slice(1)}`,
    `s s.${secret}`,
    `{s}.${secret}`,
    `s:t.${secret}`,
    `${'s'.repeat(129)}.${secret}`,
    `s.${secret}\n`,
    'x'.repeat(1_000_000),
  ])('takes %# for no token', (token) => {
    expect(sessionOfToken(token)).toBeUndefined();
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void sessionOfToken(text)));
  });
});

describe('hashToken', () => {
  it('does not show the token', () => {
    const token = newResumeToken('sess_0f');
    expect(hashToken(token)).toHaveLength(43);
    expect(hashToken(token)).not.toContain(token.slice(-24));
    expect(hashToken(token)).toBe(hashToken(token));
  });
});
