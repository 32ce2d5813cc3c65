import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { NdjsonError, ndjsonLines } from './ndjson.ts';

async function* pieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    yield bytes.subarray(from, Math.max(from, cut));
    from = Math.max(from, cut);
  }
  yield bytes.subarray(from);
}

async function lines(text: string, cuts: readonly number[] = [], max = 1000): Promise<string[]> {
  const found: string[] = [];
  for await (const line of ndjsonLines(pieces(Buffer.from(text), cuts), max)) found.push(line);
  return found;
}

describe('ndjsonLines', () => {
  it('gives the same lines wherever the stream was cut, within a character too', async () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => JSON.stringify(text));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat(200)), async (wanted, cuts) => {
        const text = wanted.map((one) => `${one}\n`).join('');
        expect(await lines(text, cuts, 10_000)).toEqual(wanted);
      }),
    );
  });

  it('passes empty lines over', async () => {
    expect(await lines('\n1\n\n2\n')).toEqual(['1', '2']);
  });

  it('refuses a line that is too long, and one without an end', async () => {
    await expect(lines('x'.repeat(11), [5], 10)).rejects.toThrow(NdjsonError);
    await expect(lines('1\n{"a":')).rejects.toThrow(NdjsonError);
  });
});
