import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { growth } from './growth.fixture.ts';
import { WordChunker } from './word-chunker.ts';

/** Of `growth`: far from a square's 64, and a busy machine's 8 may look like more. */
const LINEAR = 24;

function chunk(tokens: readonly string[], size = 4): string[] {
  const chunker = new WordChunker({ size });
  const chunks = tokens.flatMap((token) => chunker.push(token, 0));
  const rest = chunker.flush();
  return rest === undefined ? chunks : [...chunks, rest];
}

const count = (text: string): number => text.trim().split(/\s+/u).length;

describe('WordChunker', () => {
  it('C2: makes chunks of four words, and three or five where a clause ends', () => {
    expect(chunk(['one two three four five six seven eight'])).toEqual([
      'one two three four',
      ' five six seven eight',
    ]);
    expect(chunk(['I see it, but you may not.'])).toEqual(['I see it,', ' but you may not.']);
    expect(chunk(['We will go home soon. Then we sleep.'])).toEqual([
      'We will go home soon.',
      ' Then we sleep.',
    ]);
  });

  it('C2: begins a chunk with "and", "but" and "so" where that fits', () => {
    expect(chunk(['cats eat fish and dogs eat all the rest'])).toEqual([
      'cats eat fish',
      ' and dogs eat all',
      ' the rest',
    ]);
    expect(chunk(['the cats eat fish android phones do not eat'])[0]).toBe('the cats eat fish');
  });

  it.each([1, 2, 3, 5, 7])('C2: takes another size, %i', (size) => {
    const words = Array.from({ length: 24 }, (_, index) => `w${index}`).join(' ');
    const chunks = chunk([words], size);
    expect(chunks.slice(0, -1).every((text) => count(text) === size)).toBe(true);
    expect(chunks.join('')).toBe(words);
  });

  it.each([
    [0, 0],
    [1, 1],
    [3, 1],
    [4, 1],
    [5, 1],
    [8, 2],
    [9, 2],
  ])('C4: of %i words the end leaves a last chunk to be told from the others', (words, chunks) => {
    const chunker = new WordChunker();
    const text = Array.from({ length: words }, (_, index) => ` w${index}`);
    const early = text.flatMap((token) => chunker.push(token, 0));
    const last = chunker.flush();
    expect(last === undefined).toBe(words === 0);
    expect(early).toHaveLength(Math.max(0, chunks - 1));
    expect(chunker.flush()).toBeUndefined();
  });

  it('C6: gives the words that wait after the timeout, but the last, which may go on', () => {
    const chunker = new WordChunker({ timeoutMs: 200 });
    chunker.push('Hel', 0);
    expect(chunker.deadlineMs).toBeUndefined();
    chunker.push('lo wor', 100);
    expect(chunker.deadlineMs).toBe(300);
    expect(chunker.due(299)).toBeUndefined();
    expect(chunker.due(300)).toBe('Hello');
    expect(chunker.deadlineMs).toBeUndefined();
    expect(chunker.push('ld', 900)).toEqual([]);
    expect(chunker.flush()).toBe(' world');
  });

  it('takes a flood of white space, or a word without end, in a time that grows with it', () => {
    for (const token of ['\n', ' ', 'word', '汉字']) {
      const flood = (tokens: number): string => {
        const chunker = new WordChunker();
        const chunks: string[] = [];
        for (let count = 0; count < tokens; count += 1) chunks.push(...chunker.push(token, 0));
        return chunks.join('') + (chunker.flush() ?? '');
      };
      expect(growth(flood, 1_024)).toBeLessThan(LINEAR);
      expect(flood(8_192)).toBe(token.trim() === '' ? '' : token.repeat(8_192));
    }
    for (const character of [' ', '汉']) {
      const long = (length: number): void => {
        new WordChunker().push(`${character.repeat(length)}a b`, 0);
      };
      expect(growth(long, 8_192)).toBeLessThan(LINEAR);
    }
  });

  it('goes by characters where a script has no spaces', () => {
    expect(chunk(['今天天气', '很好我们走'])).toEqual(['今天天气', '很好我们走']);
  });

  it('C4, C5: joined chunks are the text, no word is split, and one is always left for the end', () => {
    const word = fc.stringMatching(/^(?:and|so|[a-z]{1,8})[.,?!]?$/u);
    const step = fc.tuple(fc.stringMatching(/^[a-z.,]{0,6} ?[a-z]{0,6}$/u), fc.nat(400));
    fc.assert(
      fc.property(
        fc.array(word),
        fc.array(step),
        fc.integer({ min: 1, max: 8 }),
        (words, steps, size) => {
          const chunker = new WordChunker({ size, timeoutMs: 200 });
          let nowMs = 0;
          let text = '';
          const chunks: string[] = [];
          const push = (token: string): void => {
            text += token;
            chunks.push(...chunker.push(token, nowMs));
          };
          for (const next of words) push(` ${next}`);
          for (const [token, waitMs] of steps) {
            nowMs += waitMs;
            const late = chunker.due(nowMs);
            if (late !== undefined) chunks.push(late);
            push(token);
          }
          const last = chunker.flush();
          expect(last === undefined).toBe(text.trim() === '');
          const all = [...chunks, last ?? ''];
          if (text.trim() !== '') expect(all.join('')).toBe(text);
          expect(all.every((part) => part === '' || count(part) <= size + 1)).toBe(true);
          for (const part of all.slice(1)) if (part !== '') expect(part).toMatch(/^\s/u);
        },
      ),
    );
  });
});
