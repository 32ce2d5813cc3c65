import { describe, expect, it } from '@jest/globals';
import { joinText, type Word } from '@voice-fleet/speech/words';
import fc from 'fast-check';
import { DeltaWords } from './delta-words.ts';

const FRAME = 1_280;

function wordsOf(...deltas: string[]): Word[] {
  const words = new DeltaWords();
  return [...deltas.flatMap((delta) => words.take(delta)), ...words.finish()];
}

describe('DeltaWords', () => {
  it('joins the parts of a word, and times it by the frames it came in, the empty ones counted', () => {
    expect(wordsOf('', '', ' Hel', 'lo', '', '', '', ' world')).toEqual([
      { text: 'Hello', startSample: 2 * FRAME, endSample: 4 * FRAME },
      { text: ' world', startSample: 7 * FRAME, endSample: 8 * FRAME },
    ]);
  });

  it('settles a word when the next begins, or after two empty frames, and shows it before', () => {
    const words = new DeltaWords();
    expect(words.take(' one')).toEqual([]);
    expect(words.tail).toBe('one');
    expect(joinText([...words.take(' two')])).toBe('one');
    expect(words.tail).toBe(' two');
    expect(words.take('')).toEqual([]);
    expect(joinText([...words.take('')])).toBe(' two');
    expect([words.tail, words.emptyRun, words.count]).toEqual(['', 2, 4]);
  });

  it('keeps a word whole over one empty frame, where a character took several tokens', () => {
    expect(wordsOf(' caf', '', 'é', '.').map(({ text }) => text)).toEqual(['café.']);
  });

  it('takes apart what came in one delta, and characters of scripts without spaces', () => {
    expect(wordsOf(' a b', ' c').map(({ text }) => text)).toEqual(['a', ' b', ' c']);
    expect(wordsOf('你', '好', '。', ' OK').map(({ text }) => text)).toEqual(['你', '好。', ' OK']);
  });

  it('says up to where all words are out: never past one that is not', () => {
    const words = new DeltaWords();
    for (let at = 0; at < 10; at += 1) words.take('');
    expect(words.heardSample).toBe(7 * FRAME);
    words.take(' wor');
    words.take('d');
    expect(words.heardSample).toBe(7 * FRAME);
    words.take(' next');
    expect(words.heardSample).toBe(9 * FRAME);
  });

  it('waits for nothing behind a space that stays alone, and times the next word by its own frame', () => {
    const words = new DeltaWords();
    for (const delta of [' a', ' ', ...Array<string>(20).fill('')]) words.take(delta);
    expect(words.heardSample).toBe(19 * FRAME);
    words.take('b');
    expect(words.finish()).toEqual([
      { text: ' b', startSample: 22 * FRAME, endSample: 23 * FRAME },
    ]);
  });

  it('loses and adds nothing but the first space, whatever the deltas', () => {
    const delta = fc.oneof(
      fc.constant(''),
      fc.string({ maxLength: 6 }),
      fc.constantFrom(' ', ' a', 'b'),
    );
    fc.assert(
      fc.property(fc.array(delta, { maxLength: 40 }), (deltas) => {
        const words = wordsOf(...deltas);
        expect(joinText(words).trimEnd()).toBe(deltas.join('').trim());
        let before = 0;
        for (const word of words) {
          expect(word.startSample).toBeGreaterThanOrEqual(before);
          expect(word.endSample).toBeGreaterThan(word.startSample);
          before = word.startSample;
        }
      }),
    );
  });
});
