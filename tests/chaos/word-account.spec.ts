import { describe, expect, it } from '@jest/globals';
import { accountWords, addAccounts } from './word-account.ts';

const words = (text: string): string[] => text.split(' ');
const clean = { lost: 0, doubled: 0, reordered: 0, foreign: 0 };

describe('accountWords', () => {
  it.each([
    ['a b c d', 'a b c d', {}],
    ['a b c d', 'a c d', { lost: 1 }],
    ['a b c d', '', { lost: 4, foreign: 1 }],
    ['a b c d', 'a b b c d', { doubled: 1 }],
    ['a b c d', 'a b c d a b', { doubled: 2 }],
    ['a b c d', 'a c b d', { reordered: 1 }],
    ['a b c d', 'd a b c', { reordered: 1 }],
    ['a b c d', 'd c b a', { reordered: 3 }],
    // The same word early and in its place is a double, not a word in the wrong place.
    ['a b c d', 'a c b c d', { doubled: 1 }],
    ['a b c d', 'a bc d', { lost: 2, foreign: 1 }],
    ['a b c d', 'a b x c d', { foreign: 1 }],
  ])('%s heard as "%s"', (said, heard, faults) => {
    expect(accountWords(words(said), words(heard))).toEqual({ sent: 4, ...clean, ...faults });
  });

  it('counts exactly what was planted: 7 lost, 3 doubled, 1 reordered, 2 foreign', () => {
    const said = Array.from({ length: 200 }, (_, index) => `w${index + 1}`);
    const heard = [...said];
    // From behind, so that places stay what they are.
    heard.splice(180, 0, 'w18 0', 'w999');
    for (const at of [170, 120, 60]) heard.splice(at, 0, heard[at - 1] as string);
    heard.splice(90, 0, ...heard.splice(40, 1));
    for (const at of [150, 149, 148, 100, 30, 10, 5]) heard.splice(at, 1);
    expect(accountWords(said, heard)).toEqual({
      sent: 200,
      lost: 7,
      doubled: 3,
      reordered: 1,
      foreign: 2,
    });
  });

  it('does not take words that were said twice', () => {
    expect(() => accountWords(['a', 'a'], ['a'])).toThrow('twice');
  });

  it('adds up', () => {
    const one = { sent: 1, lost: 2, doubled: 3, reordered: 4, foreign: 5 };
    expect(addAccounts([one, one])).toEqual({
      sent: 2,
      lost: 4,
      doubled: 6,
      reordered: 8,
      foreign: 10,
    });
  });
});
