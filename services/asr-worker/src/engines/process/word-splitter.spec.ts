import { describe, expect, it } from '@jest/globals';
import { joinText, type Word } from '@voice-fleet/speech/words';
import fc from 'fast-check';
import { WordSplitter } from './word-splitter.ts';

const texts = (words: readonly Word[]): string[] => words.map((word) => word.text);

describe('WordSplitter', () => {
  it('settles a word when the next begins, and shows the one that may go on', () => {
    const splitter = new WordSplitter();
    expect(splitter.push('hel', 0)).toEqual([]);
    expect(splitter.tail).toBe('hel');
    expect(texts(splitter.push('lo wor', 0))).toEqual(['hello']);
    expect(splitter.tail).toBe(' wor');
    expect(texts(splitter.push('ld\n', 0))).toEqual([' world']);
    expect(splitter.tail).toBe('');
    expect(splitter.settle()).toEqual([]);
  });

  it('joins to the printed text, white space as one space', () => {
    const splitter = new WordSplitter();
    const words = splitter.push('  one\n two\t\tthree !\n', 0);
    expect(joinText(words)).toBe('one two three !');
  });

  it('keeps a mark with its word where the space before it does not break', () => {
    const words = new WordSplitter().push('Quoi\u202f? Non\u00a0! ', 0);
    expect(texts(words)).toEqual(['Quoi\u202f?', ' Non\u00a0!']);
  });

  it('goes on without a space behind a word that was settled too early', () => {
    const splitter = new WordSplitter();
    splitter.push('one him', 0);
    expect(texts(splitter.settle())).toEqual([' him']);
    expect(texts(splitter.push('self two', 0))).toEqual(['self']);
    expect(splitter.tail).toBe(' two');
  });

  it('settles every character but the last of scripts without spaces', () => {
    const splitter = new WordSplitter();
    expect(texts(splitter.push('今日は', 0))).toEqual(['今', '日']);
    expect(texts(splitter.push('。いい', 0))).toEqual(['は。', 'い']);
    expect(splitter.tail).toBe('い');
  });

  it('keeps no more than a long word', () => {
    const splitter = new WordSplitter();
    const words = splitter.push('x'.repeat(10_000), 0);
    expect(splitter.tail.length).toBeLessThan(256);
    expect(joinText(words) + splitter.tail).toBe('x'.repeat(10_000));
  });

  it('ends a word where its last piece was heard, which the next word does not change', () => {
    const splitter = new WordSplitter();
    splitter.push('one', 8_000);
    splitter.push('s', 16_000);
    expect(splitter.push(' two', 32_000)).toEqual([
      { text: 'ones', startSample: 8_000, endSample: 16_000 },
    ]);
    expect(splitter.settle()).toEqual([{ text: ' two', startSample: 30_720, endSample: 32_000 }]);
  });

  it('gives times that never go back and stay inside what was heard', () => {
    const piece = fc.tuple(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.nat(20_000));
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const splitter = new WordSplitter();
        let heard = 0;
        let before = 0;
        let text = '';
        const check = (words: readonly Word[]): void => {
          for (const word of words) {
            expect(word.startSample).toBeGreaterThanOrEqual(before);
            expect(word.endSample).toBeGreaterThanOrEqual(word.startSample);
            expect(word.endSample).toBeLessThanOrEqual(heard);
            before = word.endSample;
            text += word.text;
          }
        };
        for (const [printed, more] of pieces) {
          heard += more;
          check(splitter.push(printed, heard));
        }
        check(splitter.settle());
        const printed = pieces.map(([part]) => part).join('');
        const bare = (from: string): string => from.replace(/[^\S\u00a0\u202f]/gu, '');
        expect(bare(text)).toBe(bare(printed));
      }),
    );
  });
});
