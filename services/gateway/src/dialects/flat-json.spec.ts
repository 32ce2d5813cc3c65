import { describe, expect, it } from '@jest/globals';
import { parseFlat } from './flat-json.ts';

describe('parseFlat', () => {
  it('lets a large message of audio pass', () => {
    const audio = Buffer.alloc(700_000, 7).toString('base64');
    const message = { payload: { audio } };
    expect(parseFlat(Buffer.from(JSON.stringify(message)))).toEqual(message);
  });

  it('lets small messages be what they like', () => {
    const text = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
    expect(() => parseFlat(Buffer.from(text))).not.toThrow();
    expect(() => parseFlat(Buffer.from('{'))).toThrow(/not valid JSON/);
  });

  it.each([
    [
      'keys',
      JSON.stringify(
        Object.fromEntries(Array.from({ length: 20_000 }, (_, key) => [`k${key}`, 1])),
      ),
    ],
    ['nested arrays', '['.repeat(20_000)],
    ['nested objects', '{"a":'.repeat(20_000)],
  ])('refuses a large message of many %s', (_, text) => {
    expect(() => parseFlat(Buffer.from(text))).toThrow(/too many values/);
  });
});
