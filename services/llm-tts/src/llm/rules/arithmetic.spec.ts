import { describe, expect, it } from '@jest/globals';
import { findSum, tellNumber } from './arithmetic.ts';
import { numberAt } from './number-words.ts';

describe('numberAt', () => {
  it.each([
    ['zero', 0],
    ['twenty one', 21],
    ['one hundred and five', 105],
    ['a hundred', 100],
    ['two thousand three hundred and forty five', 2345],
    ['one million two hundred thousand', 1_200_000],
    ['minus three point one four', -3.14],
    ['12.5', 12.5],
    ['3 million', 3_000_000],
  ])('reads "%s"', (text, value) => {
    const words = text.split(' ');
    expect(numberAt(words, 0)).toEqual({ value, next: words.length });
  });

  it.each(['a', 'hundred', 'and', 'tens', 'point five', ''])('finds none in "%s"', (text) => {
    expect(numberAt(text.split(' '), 0)).toBeUndefined();
  });

  it('ends where another number begins', () => {
    expect(numberAt(['twenty', 'thirty'], 0)).toEqual({ value: 20, next: 1 });
    expect(numberAt(['one', 'two'], 0)).toEqual({ value: 1, next: 1 });
    expect(numberAt(['five', 'and', 'six'], 0)).toEqual({ value: 5, next: 1 });
  });
});

describe('findSum', () => {
  it.each([
    ['what is two plus two', '2 plus 2', 4],
    ['2+3*4?', '2 plus 3 times 4', 14],
    ['ten minus four minus three', '10 minus 4 minus 3', 3],
    ['please tell me seven multiplied by eight', '7 times 8', 56],
    ['1,000 divided by eight', '1000 divided by 8', 125],
    ['twenty percent of fifty', '20 percent of 50', 10],
    ['nine take away twelve', '9 minus 12', -3],
    ['six x seven', '6 times 7', 42],
    ['3x4', '3 times 4', 12],
    ['twenty-two over seven', '22 divided by 7', 22 / 7],
    ['five minus minus five', '5 minus -5', 10],
    ['what is twelve squared', '12 squared', 144],
    ['the square root of eighty one', 'the square root of 81', 9],
    ['I have one dog. how much is two plus three', '2 plus 3', 5],
  ])('works out "%s"', (text, asked, value) => {
    expect(findSum(text)).toEqual({ asked, value });
  });

  it('has no value for a division by zero', () => {
    expect(findSum('four divided by zero')).toEqual({ asked: '4 divided by 0', value: undefined });
  });

  it.each([
    'I have two dogs and three cats',
    'plus',
    'two plus',
    'the year 1999',
    'well-known',
    'the square root of minus one',
  ])('finds no sum in "%s"', (text) => {
    expect(findSum(text)).toBeUndefined();
  });
});

describe('tellNumber', () => {
  it.each([
    [0.1 + 0.2, '0.3'],
    [1 / 3, '0.33333333'],
    [1e6, '1000000'],
    [-3, '-3'],
    [1e21, '1e+21'],
  ])('tells %s as %s', (value, told) => {
    expect(tellNumber(value)).toBe(told);
  });
});
