import { describe, expect, it } from '@jest/globals';
import { assertFlat } from './flat-json.ts';

describe('assertFlat', () => {
  it('lets a large message of audio pass', () => {
    const audio = Buffer.alloc(700_000, 7).toString('base64');
    expect(() => assertFlat(Buffer.from(JSON.stringify({ payload: { audio } })))).not.toThrow();
  });

  it('lets small messages be what they like', () => {
    expect(() => assertFlat(Buffer.from('['.repeat(10_000)))).not.toThrow();
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
    expect(() => assertFlat(Buffer.from(text))).toThrow(/too many values/);
  });
});
