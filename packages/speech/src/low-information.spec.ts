import { describe, expect, it } from '@jest/globals';
import { isLowInformation, measureText } from './low-information.ts';

const isLow = (text: string): boolean => isLowInformation(measureText(text));

describe('a text of low information', () => {
  it.each([
    ['dots', '......'],
    ['dots and spaces', '. . . . .'],
    ['dots with hardly a letter', '....a...'],
    ['nothing', ''],
    ['white space', ' \n '],
    ['one letter again and again', 'a'.repeat(41)],
    ['two letters again and again', 'ha'.repeat(41)],
  ])('is one of %s', (_, text) => {
    expect(isLow(text)).toBe(true);
  });

  it.each([
    ['one word', 'Hi'],
    ['words with punctuation', 'Well, well... no!'],
    ['one letter', 'I'],
    ['digits', '42'],
    ['letters that are not Latin', 'здравствуйте'],
    ['letters with marks of their own', 'नमस्ते'],
    ['a letter in four', '...a'],
    ['a letter twenty times', 'a'.repeat(20)],
  ])('is none of %s', (_, text) => {
    expect(isLow(text)).toBe(false);
  });

  it('has its ratios measured without white space and case', () => {
    expect(measureText('A a!\n.')).toEqual({ alphaRatio: 0.5, uniqueRatio: 0.75 });
    expect(measureText('')).toEqual({ alphaRatio: 0, uniqueRatio: 0 });
  });

  it('of any normal length is told in time', () => {
    // A long speech has few letters that differ: only a window of it is ever measured.
    expect(isLow('the quick brown fox jumps over the lazy dog '.repeat(5))).toBe(false);
  });
});
