import { describe, expect, it } from '@jest/globals';
import { systemClock } from '@voice-fleet/runtime/clock';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { ChatMessage } from '../engine.ts';
import { answerOf } from './intents.ts';
import { RulesEngine } from './rules.ts';

const NOW = new Date(2026, 2, 9, 14, 5);
const EARLIER: readonly ChatMessage[] = [
  { role: 'user', content: 'My cat is called Minka' },
  { role: 'assistant', content: 'I heard: My cat is called Minka.' },
  { role: 'user', content: 'She likes fish.' },
  { role: 'assistant', content: 'I heard that too.' },
];
const answer = (text: string, earlier: readonly ChatMessage[] = []): string =>
  answerOf(text, { earlier, now: NOW });

describe('the built-in rules', () => {
  it.each([
    ['hello there', /^Hello\. No language model is configured/],
    ['Good morning!', /^Hello\./],
    ['what time is it?', /^It is 2:05\sPM by the clock of this server\./],
    ['hello what time is it', /^It is 2:05\sPM/],
    ['What’s the date today', /^Today is Monday, March 9, 2026\./],
    ['what is two plus two', /^2 plus 2 is 4\. .* not a language model\.$/],
    ['four divided by zero', /^4 divided by 0 has no answer\./],
    [
      'spell the word rhythm please',
      /^I spell rhythm like this: R, H, Y, T, H, M\. That is 6 letters\.$/,
    ],
    ['what can you do', /I can tell the time .* work out sums/],
    ['help', /I can tell the time/],
    ['ok goodbye then', /^Goodbye\./],
    ['repeat after me: the sea is blue', /^You asked me to say this: the sea is blue\.$/],
  ])('answer "%s"', (text, reply) => {
    expect(answer(text)).toMatch(reply);
  });

  it.each([
    ['what did I just say', 'You said this: She likes fish.'],
    ['What did you say?', 'I said this: I heard that too.'],
    ['can you repeat that', 'I said this: I heard that too.'],
    [
      'please sum up what I said',
      'I remember 2 things that you said. First, My cat is called Minka. Second, She likes fish.',
    ],
    ['spell that', 'I spell fish like this: F, I, S, H. That is 4 letters.'],
  ])('answer "%s" from the conversation', (text, reply) => {
    expect(answer(text, EARLIER)).toBe(reply);
  });

  it.each([
    ['marks', `${'.'.repeat(32_000)}x`],
    ['white space', `a${' '.repeat(32_000)}x`],
    ['marks of a word', `1${'?'.repeat(32_000)}x`],
    ['numbers', 'one million '.repeat(2_700)],
    ['a word to spell', `spell ${'a'.repeat(32_000)}`],
    ['a word to sum up', `${'1 + '.repeat(8_000)}1`],
  ])('answer a flood of %s soon, and at no length', (_what, text) => {
    const began = process.cpuUsage();
    expect(answer(text).length).toBeLessThan(8_000);
    expect(process.cpuUsage(began).user).toBeLessThan(1_000_000);
  });

  it('do not work with numbers that are none any more', () => {
    const huge = '9'.repeat(400);
    for (const text of [`${huge} plus 1`, `${huge} minus ${huge}`, `${'9'.repeat(200)} squared`])
      expect(answer(text)).toBe('Those numbers are too large for me to work with.');
  });

  it('cut no character in half where they quote', () => {
    const reply = answer(`${'a'.repeat(199)}${'😀'.repeat(9)}`);
    expect(reply).toContain('and so on');
    expect(reply).not.toMatch(/[\ud800-\udfff]/u);
  });

  it.each([
    ['what did I say', /^I remember nothing/],
    ['repeat that', /^I remember nothing/],
    ['summarise our talk', /nothing to sum up/],
    ['spell that', /no word to spell/],
  ])('say so when there was nothing before "%s"', (text, reply) => {
    expect(answer(text)).toMatch(reply);
  });

  it('say what they heard, and that no model is configured, where no rule applies', () => {
    expect(answer('Why is the sky blue?')).toBe(
      'No language model is configured here, so I answer by a few built-in rules. I heard: Why is the sky blue? Ask me for help to hear what I can do.',
    );
  });

  it('say back no more than a part of a long speech', () => {
    const reply = answer('word '.repeat(1000));
    expect(reply.length).toBeLessThan(450);
    expect(reply).toContain('word and so on. Ask me');
  });

  it.each([
    'hi',
    'help',
    'bye',
    'time is it',
    'what is the date',
    '1+1',
    'spell a',
    'x',
    'repeat that',
  ])('answer "%s" in five words and two sentences at the least', (text) => {
    const reply = answer(text);
    expect(reply.split(' ').length).toBeGreaterThanOrEqual(5);
    expect(reply.match(/[.?!](\s|$)/g)?.length).toBeGreaterThanOrEqual(2);
  });

  it('stream their reply word by word, the first at once', async () => {
    const clock = new FakeClock();
    const messages: ChatMessage[] = [{ role: 'user', content: 'bye' }];
    const signal = new AbortController().signal;
    const tokens = new RulesEngine(clock).stream(messages, {}, signal);
    const read: (string | undefined)[] = [];
    for (;;) {
      const next = tokens.next();
      if (read.length > 0) await Promise.resolve().then(() => clock.advance(20));
      const { value, done } = await next;
      if (done) break;
      read.push(value);
    }
    expect(read).toEqual(['Goodbye.', ' It', ' was', ' good', ' to', ' hear', ' from', ' you.']);
  });

  it('stop amid a reply when they are aborted', async () => {
    const abort = new AbortController();
    const engine = new RulesEngine(systemClock);
    const read: string[] = [];
    const reading = (async () => {
      for await (const token of engine.stream([{ role: 'user', content: 'x' }], {}, abort.signal)) {
        read.push(token);
        if (read.length === 2) abort.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
    expect(read).toHaveLength(2);
  });
});
