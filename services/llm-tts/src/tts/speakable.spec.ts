import { describe, expect, it } from '@jest/globals';
import { speakable } from './speakable.ts';

describe('speakable', () => {
  it.each([
    ['**Hello** _there_, `code`!', 'Hello there, code!'],
    ['he said *this', 'he said this'],
    ['3 * 4 = 12', '3 * 4 = 12'],
    ['snake_case_name', 'snake_case_name'],
    ['~~no~~ 5%', 'no 5%'],
    ['# Heading\n- one\n* two', 'Heading one two'],
    ['#1 is -5 degrees', '#1 is -5 degrees'],
    ['> quote', 'quote'],
    ['```ts\nlet x', 'let x'],
    ['see [the link](http://a.b/(c)) here', 'see the link here'],
    ['| a | b |\n|---|---|', 'a b'],
    ['<b>bold</b> a < b', 'bold a < b'],
    ['well 👍🏽 done 👨‍👩‍👧', 'well done'],
    ['Grüße, 你好', 'Grüße, 你好'],
    ['bell\u0007 and\u0000 null', 'bell and null'],
  ])('of %j says %j', (text, said) => {
    expect(speakable(text)).toBe(said);
  });

  it.each(['', ' \n', '...', '?!', '—', '**', '😀👍🏽', '🇬🇧', '---', '1️⃣'.slice(1), '|--|--|'])(
    'has nothing to say of %j',
    (text) => {
      expect(speakable(text)).toBe('');
    },
  );
});
