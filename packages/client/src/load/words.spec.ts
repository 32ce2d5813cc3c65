import { describe, expect, it } from '@jest/globals';
import { TranscriptTally, wordErrors, wordsOf } from './words.ts';

describe('wordErrors', () => {
  it.each([
    ['a b c', 'a b c', 0, 0],
    ['a b c', 'a c', 1, 1],
    ['a b c', 'a x c', 1, 0],
    ['a b c', 'a b x c', 1, 0],
    ['a b c', '', 3, 3],
    ['', 'a b', 2, 0],
    ['the cat sat down', 'the dog sat', 2, 1],
  ])('of "%s" heard as "%s" are %d, with %d left out', (said, heard, errors, missing) => {
    expect(wordErrors(wordsOf(said), wordsOf(heard))).toEqual({ errors, missing });
  });
});

describe('TranscriptTally', () => {
  function tally(reference: string | undefined, ...texts: string[]) {
    const words = new TranscriptTally('a.wav', reference);
    for (const text of texts) words.add(text);
    return words.report;
  }

  it('finds the same words the same, however they are written', () => {
    expect(tally('Hello there', 'Hello, there.', 'hello there', ' HELLO there!')).toEqual({
      recording: 'a.wav',
      transcripts: 3,
      distinct: 1,
      deviating: 0,
      deviation: 0,
      lostWords: 0,
      wordErrorRate: 0,
    });
  });

  it('counts words that some sessions lost, against what most of them have', () => {
    expect(tally(undefined, 'a b c d', 'a b c d', 'a b d', 'a b c x')).toMatchObject({
      transcripts: 4,
      distinct: 3,
      deviating: 2,
      deviation: 2 / 16,
      lostWords: 1,
      wordErrorRate: undefined,
    });
  });

  it('compares all with what was said, where that is known', () => {
    expect(tally('a b c d', 'a b c', 'a b c').wordErrorRate).toBe(0.25);
  });

  it('has nothing to say of no transcript', () => {
    expect(tally('a')).toMatchObject({
      transcripts: 0,
      distinct: 0,
      deviation: 0,
      wordErrorRate: undefined,
    });
  });

  it('keeps 64 texts and counts the others', () => {
    const texts = Array.from({ length: 100 }, (_, i) => `text ${i}`);
    expect(tally('text 0', 'text 0', ...texts)).toMatchObject({
      transcripts: 101,
      distinct: 100,
      deviating: 99,
    });
  });
});
