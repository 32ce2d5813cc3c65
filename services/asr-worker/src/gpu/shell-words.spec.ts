import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { quoteWord, splitWords } from './shell-words.ts';

describe('words of a variable', () => {
  it.each([
    ['', []],
    ['  ', []],
    ['vllm', ['vllm']],
    [' python3  -m\tvllm ', ['python3', '-m', 'vllm']],
    [`--a '{"b": "c d"}'`, ['--a', '{"b": "c d"}']],
    [`"a \\"b\\" \\n" c\\ d`, ['a "b" \\n', 'c d']],
    [`a'b'"c"`, ['abc']],
    [`'' ""`, ['', '']],
    ['a;b $(c) `d` $e > f', ['a;b', '$(c)', '`d`', '$e', '>', 'f']],
  ])('%j become %j', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it.each([`'a`, `a "b`, 'a\\'])('%j are refused', (text) => {
    expect(() => splitWords(text)).toThrow(/is not closed|backslash/);
  });

  it('come back as they were when they were quoted', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        expect(splitWords(words.map(quoteWord).join(' '))).toEqual(words);
      }),
    );
  });

  it.each(['--port', '8300', '/models/voxtral', 'a=b'])('%s needs no quotes', (word) => {
    expect(quoteWord(word)).toBe(word);
  });
});
