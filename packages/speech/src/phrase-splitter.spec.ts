import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { growth } from './growth.fixture.ts';
import { PhraseSplitter } from './phrase-splitter.ts';

/** Of `growth`: far from a square's 64, and a busy machine's 8 may look like more. */
const LINEAR = 24;

function split(tokens: readonly string[], options: { maxLength?: number } = {}): string[] {
  const splitter = new PhraseSplitter(options);
  const phrases = tokens.flatMap((token) => splitter.push(token, 0));
  const rest = splitter.flush();
  return rest === undefined ? phrases : [...phrases, rest];
}

const normalised = (text: string): string => text.replace(/\s+/gu, ' ').trim();
const bare = (text: string): string => text.replace(/\s+/gu, '');

describe('PhraseSplitter', () => {
  it('P25: ends a phrase at . ? ! as soon as the next character shows that it is one', () => {
    const splitter = new PhraseSplitter();
    expect(splitter.push('Hello.', 0)).toEqual([]);
    expect(splitter.push(' How', 1)).toEqual(['Hello.']);
    expect(splitter.push(' are you? Fine', 2)).toEqual(['How are you?']);
    expect(splitter.push('! Good', 3)).toEqual(['Fine!']);
    expect(splitter.flush()).toBe('Good');
    expect(splitter.flush()).toBeUndefined();
  });

  it.each([
    ['decimals', ['It is 3', '.', '5 metres. Yes.'], ['It is 3.5 metres.', 'Yes.']],
    ['abbreviations', ['Fruit, e.g. a pear. Ask Dr. No.'], ['Fruit, e.g. a pear.', 'Ask Dr. No.']],
    ['initials', ['J. S. Bach lived in the U.S. never.'], ['J. S. Bach lived in the U.S. never.']],
    ['the head of a list', ['1. Eggs. 2. Milk.'], ['1. Eggs.', '2. Milk.']],
    ['a number at the end', ['I am 42. Then I am 43.'], ['I am 42.', 'Then I am 43.']],
    ['the word I', ['So do I. You?'], ['So do I.', 'You?']],
    ['names with dots', ['See example.com/a.b?c=d! Now.'], ['See example.com/a.b?c=d!', 'Now.']],
    ['several marks', ['What?!', ' No', '... Well.'], ['What?!', 'No...', 'Well.']],
    ['marks in quotes', ['He said "go." **Now!** Then.'], ['He said "go."', '**Now!**', 'Then.']],
    ['scripts without spaces', ['你好。', '」今天', '好吗？好'], ['你好。」', '今天好吗？', '好']],
  ])('knows %s', (_what, tokens, phrases) => {
    expect(split(tokens)).toEqual(phrases);
  });

  it('P25: cuts between words before 60 characters are passed', () => {
    const text =
      'this is a rather long piece of text without any mark of its end at all in it anywhere';
    expect(split([text])).toEqual([
      'this is a rather long piece of text without any mark of its',
      'end at all in it anywhere',
    ]);
  });

  it('rather cuts behind a comma when one is in the second half', () => {
    const text = 'when all of it had been said and done, they went home by the last train of all';
    expect(split([text])[0]).toBe('when all of it had been said and done,');
  });

  it('cuts a word only if it alone is too long, and never a character', () => {
    expect(split(['abcdefghijklm no'], { maxLength: 10 })).toEqual(['abcdefghij', 'klm no']);
    expect(split(['abcdefghi😀j'], { maxLength: 10 })).toEqual(['abcdefghi', '😀j']);
  });

  it('P25: gives what waits 700 ms after the last token, and not before', () => {
    const splitter = new PhraseSplitter();
    expect(splitter.deadlineMs).toBeUndefined();
    splitter.push('Let me', 1000);
    splitter.push(' see', 1500);
    expect(splitter.deadlineMs).toBe(2200);
    expect(splitter.due(2199)).toBeUndefined();
    expect(splitter.due(2200)).toBe('Let me see');
    expect(splitter.deadlineMs).toBeUndefined();
    splitter.push(' it', 2300);
    expect(splitter.push(' is. Now', 3000)).toEqual(['it', 'is.']);
  });

  it('waits for nothing when only white space came', () => {
    const splitter = new PhraseSplitter();
    splitter.push(' \n ', 0);
    expect(splitter.deadlineMs).toBeUndefined();
    expect(splitter.flush()).toBeUndefined();
  });

  const word = fc.stringMatching(/^[a-z0-9,"']{1,9}[.?!]{0,2}$/u);
  const tokens = fc.array(fc.oneof(word, fc.constantFrom(' ', '\n', '. ', ' e.g. ', '? ', '3.5')));

  it('loses and invents no word, however the text comes and wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(word),
        fc.integer({ min: 12, max: 60 }),
        fc.nat(),
        (words, max, seed) => {
          const text = words.join(' ');
          const cut = [...text].reduce<string[]>((all, letter, index) => {
            if (all.length === 0 || (seed >> (index % 20)) % 2 === 0) all.push(letter);
            else all[all.length - 1] += letter;
            return all;
          }, []);
          const phrases = split(cut, { maxLength: max });
          expect(phrases.join(' ')).toBe(text);
          expect(phrases.every((phrase) => phrase.length <= max && phrase !== '')).toBe(true);
        },
      ),
    );
  });

  it('keeps every letter in order under gaps, giant words and any script', () => {
    const any = fc.tuple(
      fc.oneof(
        tokens.map((all) => all.join('')),
        fc.string({ unit: 'grapheme' }),
      ),
      fc.nat(1000),
    );
    fc.assert(
      fc.property(fc.array(any), fc.integer({ min: 8, max: 60 }), (pieces, maxLength) => {
        const splitter = new PhraseSplitter({ maxLength });
        const phrases: string[] = [];
        let nowMs = 0;
        for (const [text, waitMs] of pieces) {
          nowMs += waitMs;
          phrases.push(...splitter.push(text, nowMs));
        }
        const rest = splitter.flush();
        if (rest !== undefined) phrases.push(rest);
        expect(bare(phrases.join(' '))).toBe(bare(pieces.map(([text]) => text).join('')));
        expect(phrases.every((phrase) => phrase.length <= maxLength)).toBe(true);
        expect(phrases.every((phrase) => phrase === phrase.trim() && phrase !== '')).toBe(true);
        expect(phrases.every((phrase) => encodeURIComponent(phrase) !== '')).toBe(true);
      }),
    );
  });

  it('cuts at the same places whether the text comes at once or letter by letter', () => {
    fc.assert(
      fc.property(tokens, (all) => {
        const text = normalised(all.join(''));
        expect(split([...text])).toEqual(split([text]));
      }),
    );
  });

  it('does not keep a flood of white space, and knows what begins a line all the same', () => {
    const flood = (tokens: number): PhraseSplitter => {
      const splitter = new PhraseSplitter();
      splitter.push('One', 0);
      for (let count = 0; count < tokens; count += 1) splitter.push(count % 2 ? '\n' : ' ', 0);
      return splitter;
    };
    expect(growth(flood, 8_192)).toBeLessThan(LINEAR);
    const splitter = flood(8_192);
    expect(splitter.deadlineMs).toBe(700);
    splitter.push('# Two', 0);
    expect(splitter.flush()).toBe('One \n# Two');
  });
});
