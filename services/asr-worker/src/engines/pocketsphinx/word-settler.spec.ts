import { describe, expect, it } from '@jest/globals';
import type { Word } from '@voice-fleet/speech/words';
import { WordSettler } from './word-settler.ts';

const STEP = 1_600;

/** Words of a quarter of a second, one behind the other. */
function guess(text: string, fromSample = 0): Word[] {
  const words = text.split(' ').filter((word) => word !== '');
  return words.map((word, at) => ({
    text: word,
    startSample: fromSample + at * 4_000,
    endSample: fromSample + (at + 1) * 4_000,
  }));
}

/** Shows the same guess again and again while audio comes in. */
function repeat(settler: WordSettler, words: Word[], from: number, to: number): Word[] {
  const settled: Word[] = [];
  for (let at = from; at <= to; at += STEP) settled.push(...settler.observe(words, at));
  return settled;
}

const text = (words: readonly Word[]): string => words.map((word) => word.text).join('');

describe('WordSettler', () => {
  it('settles words that lie far behind and do not change', () => {
    const settler = new WordSettler();
    expect(text(repeat(settler, guess('one two three'), STEP, 12 * STEP))).toBe('one two');
    expect(settler.tail).toBe(' three');
  });

  it('settles nothing that is too new', () => {
    const settler = new WordSettler();
    expect(repeat(settler, guess('one'), STEP, 9 * STEP)).toEqual([]);
    expect(settler.tail).toBe('one');
  });

  it('settles nothing the last guesses disagreed on', () => {
    const settler = new WordSettler();
    expect(repeat(settler, guess('won'), STEP, 9 * STEP)).toEqual([]);
    expect(settler.observe(guess('one'), 20 * STEP)).toEqual([]);
    expect(settler.observe(guess('won'), 21 * STEP)).toEqual([]);
    expect(settler.tail).toBe('won');
  });

  it('keeps settled words when the last guess takes them back, and joins the rest by time', () => {
    const settler = new WordSettler();
    expect(text(repeat(settler, guess('ill disposed'), STEP, 13 * STEP))).toBe('ill disposed');
    expect(text(settler.finish(guess('an hill supposed young man', -4_000)))).toBe(' young man');
  });

  it('repeats no word whose edges moved', () => {
    const settler = new WordSettler();
    repeat(settler, guess('that that'), STEP, 13 * STEP);
    expect(text(settler.finish(guess('that that is', 300)))).toBe(' is');
  });

  it('adds the ending of a settled word that turns out longer', () => {
    const settler = new WordSettler();
    expect(text(repeat(settler, guess('for him'), STEP, 13 * STEP))).toBe('for him');
    const longer = { text: 'himself', startSample: 4_000, endSample: 11_000 };
    settler.observe([...guess('for'), longer], 14 * STEP);
    expect(settler.tail).toBe('self');
    const rest = settler.finish([...guess('for'), longer, ...guess('now', 11_000)]);
    expect(rest.map((word) => word.text)).toEqual(['self', ' now']);
    expect(rest[0]).toMatchObject({ startSample: 8_000, endSample: 11_000 });
  });

  it('lets times never go back', () => {
    const settler = new WordSettler();
    repeat(settler, guess('one two'), STEP, 13 * STEP);
    const [next] = settler.finish([{ text: 'three', startSample: 7_000, endSample: 12_000 }]);
    expect(next).toMatchObject({ startSample: 8_000, endSample: 12_000 });
  });

  it('settles everything at the end, the first word without a space', () => {
    expect(text(new WordSettler().finish(guess('one two')))).toBe('one two');
    expect(new WordSettler().finish([])).toEqual([]);
  });

  it('goes on behind the last word when a segment is decoded anew', () => {
    const last = { text: ' two', startSample: 4_000, endSample: 8_000 };
    const settler = new WordSettler(last, 12 * STEP);
    expect(repeat(settler, guess('one two three'), STEP, 12 * STEP)).toEqual([]);
    expect(settler.tail).toBe(' three');
    expect(text(repeat(settler, guess('one two three'), 13 * STEP, 15 * STEP))).toBe(' three');
  });

  it('settles the same words whether or not the decoding was interrupted', () => {
    const guesses = [
      'a',
      'a be',
      'a bee sea',
      'a bee see day',
      'a bee see day he',
      'a bee see day he if',
    ];
    const at = (step: number): Word[] => guess(guesses[Math.min(step >> 2, 5)] ?? '');
    const run = (settler: WordSettler, from: number): Word[] => {
      const words: Word[] = [];
      for (let step = from; step < 40; step++)
        words.push(...settler.observe(at(step), step * STEP));
      return [...words, ...settler.finish(at(40))];
    };
    const undisturbed = run(new WordSettler(), 0);
    for (let cut = 1; cut < 40; cut++) {
      const before = new WordSettler();
      const heard: Word[] = [];
      for (let step = 0; step < cut; step++) heard.push(...before.observe(at(step), step * STEP));
      const after = new WordSettler(heard.at(-1), (cut - 1) * STEP);
      expect([...heard, ...run(after, 0)]).toEqual(undisturbed);
    }
  });
});
