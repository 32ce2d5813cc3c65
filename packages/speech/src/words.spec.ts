import { describe, expect, it } from '@jest/globals';
import { joinText, normalizeWord, punctuatedLike, spaced, splitWord } from './words.ts';

const at = (text: string, startSample: number, endSample: number) => ({
  text,
  startSample,
  endSample,
});

describe('normalizeWord', () => {
  it.each([
    [' Fox.', 'fox'],
    ['“Café”,', 'cafe'],
    ["DON'T", 'dont'],
    ['ﬁne', 'fine'],
    ['…', ''],
  ])('makes %j %j', (text, key) => {
    expect(normalizeWord(text)).toBe(key);
  });

  it('keeps marks that are vowels', () => {
    expect(normalizeWord('कि')).not.toBe(normalizeWord('का'));
  });
});

describe('splitWord', () => {
  it('leaves words of spaced scripts alone', () => {
    const word = at(' brown fox', 0, 100);
    expect(splitWord(word)).toEqual([word]);
  });

  it('takes characters of spaceless scripts apart, each with its share of the time', () => {
    expect(splitWord(at(' 今日、OK', 0, 300))).toEqual([
      at(' 今', 0, 100),
      at('日、', 100, 200),
      at('OK', 200, 300),
    ]);
  });

  it('loses nothing', () => {
    for (const text of ['「今日」 は', 'ภาษาไทย', '今 ', 'コーヒー?!']) {
      expect(joinText(splitWord(at(text, 0, 100)))).toBe(text);
    }
  });
});

describe('spaced', () => {
  it.each([
    ['fox', 'jumps', ' jumps'],
    ['fox.', '"Jumps', ' "Jumps'],
    ['fox', ' jumps', ' jumps'],
    ['fox', ', jumps', ', jumps'],
    ['', 'jumps', 'jumps'],
    ['fox\n', 'jumps', 'jumps'],
    ['今日', 'は', 'は'],
    ['今日。', 'OK', 'OK'],
    ['OK', '今日', '今日'],
  ])('behind %j writes %j as %j', (before, text, written) => {
    expect(spaced(before, text)).toBe(written);
  });
});

describe('punctuatedLike', () => {
  it('replaces the punctuation at the end', () => {
    expect(punctuatedLike(' Fox.', 'fox')).toBe(' Fox');
    expect(punctuatedLike(' fox', 'Fox?!')).toBe(' fox?!');
  });
});
