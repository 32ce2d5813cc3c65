import type { ChatMessage } from '../engine.ts';
import { findSum, tellNumber } from './arithmetic.ts';

export interface Situation {
  /** What was said before, oldest first. */
  readonly earlier: readonly ChatMessage[];
  readonly now: Date;
}

/** An answer, or undefined when the rule does not apply. `heard` is lower-case and has no marks at its end. */
type Rule = (heard: string, situation: Situation, text: string) => string | undefined;

const ABILITIES =
  'I can tell the time and the date, work out sums, spell a word, and repeat or sum up what you said.';
const NO_MODEL = 'No language model is configured here, so I answer by a few built-in rules.';
/** Of what somebody said, that is said back. */
const QUOTE_CHARS = 200;
/** Of what somebody said, that rules look at: what they look for takes time that grows with the square. */
const HEARD_CHARS = 2_000;
/** No word has more; spelling takes a word's time for each. */
const SPELT_CHARS = 50;

/** The reply to `text`. Always the same for the same text and situation; never claims to understand what no rule is for. */
export function answerOf(said: string, situation: Situation): string {
  const text = said.slice(0, HEARD_CHARS);
  const heard = text
    .toLowerCase()
    .replace(/[’]/g, "'")
    .replace(/[\s.!?,;:]+$/, '')
    .trim();
  for (const rule of RULES) {
    const answer = rule(heard, situation, text);
    if (answer !== undefined) return answer;
  }
  return `${NO_MODEL} I heard: ${quote(text)} Ask me for help to hear what I can do.`;
}

const help: Rule = (heard) =>
  /\bwhat (can|do) you (do|know)\b|^(please )?help( me)?\b|\bhow (can|do) you help\b/.test(heard)
    ? `${NO_MODEL} ${ABILITIES}`
    : undefined;

const repeat: Rule = (heard, { earlier }, text) => {
  const after = /^(?:please )?(?:repeat|say) after me[\s:,]+(.+)$/is.exec(text.trim())?.[1];
  if (after !== undefined) return `You asked me to say this: ${quote(after)}`;
  const own = /\bwhat did you (just )?say\b|\bsay (that|it) again\b|\brepeat (that|it|yourself)\b/;
  const theirs = /\bwhat did i (just )?say\b|\brepeat what i( just)? said\b|\brepeat me\b/;
  if (theirs.test(heard)) return recall('You said', last(earlier, 'user'));
  if (own.test(heard)) return recall('I said', last(earlier, 'assistant'));
  return undefined;
};

const spell: Rule = (heard, { earlier }) => {
  const asked = /\bspell (?:the word |out )?(?:"|')?([\p{L}\d'-]+)/u.exec(heard)?.[1];
  if (asked === undefined) return undefined;
  const isPointer = asked === 'that' || asked === 'it' || asked === 'this';
  const word = isPointer ? lastWord(last(earlier, 'user')) : asked;
  if (word === undefined) return 'There is no word to spell yet. Say one, and then ask me again.';
  if (word.length > SPELT_CHARS) return 'That word is too long for me to spell.';
  const letters = [...word].filter((letter) => /[\p{L}\d]/u.test(letter));
  return `I spell ${word} like this: ${letters.join(', ').toUpperCase()}. That is ${count(letters.length, 'letter')}.`;
};

const summarise: Rule = (heard, { earlier }) => {
  if (!/\b(summari[sz]e|sum up|recap)\b|\bwhat (have|did) (we|i) (said|say|talked?)\b/.test(heard))
    return undefined;
  const said = earlier.filter(({ role }) => role === 'user');
  if (said.length === 0)
    return 'You have said nothing before this. There is nothing to sum up yet.';
  const parts = said.map(({ content }, index) => `${ORDINALS[index] ?? 'Then'}, ${quote(content)}`);
  return `I remember ${count(said.length, 'thing')} that you said. ${parts.join(' ')}`;
};
const ORDINALS = ['First', 'Second', 'Third', 'Fourth', 'Fifth'];

const sum: Rule = (heard) => {
  const found = findSum(heard);
  if (found === undefined) return undefined;
  const { asked, value } = found;
  if (value === undefined)
    return `${sentence(asked)} has no answer. Nothing can be divided by zero.`;
  if (!Number.isFinite(value)) return 'Those numbers are too large for me to work with.';
  return `${sentence(asked)} is ${tellNumber(value)}. A built-in rule worked that out, not a language model.`;
};

const time: Rule = (heard, { now }) =>
  /\bwhat('s| is)? (the )?time\b|\btime (is it|do you have)\b|\btell me the time\b/.test(heard)
    ? `It is ${clockTime(now)} by the clock of this server. Its time zone is ${zone(now)}.`
    : undefined;

const date: Rule = (heard, { now }) =>
  /\bwhat('s| is)? (the |today's )?date\b|\bwhat day (is it|of)\b|\bwhat day is today\b|\btell me the date\b/.test(
    heard,
  )
    ? `Today is ${calendarDay(now)}. The clock of this server says so.`
    : undefined;

const goodbye: Rule = (heard) =>
  /\b(good ?bye|bye|farewell|good night|see you)\b/.test(heard) && heard.split(/\s+/).length <= 8
    ? 'Goodbye. It was good to hear from you.'
    : undefined;

const greeting: Rule = (heard) =>
  /^(hello|hi|hey|greetings|good (morning|afternoon|evening|day))\b/.test(heard) &&
  heard.split(/\s+/).length <= 8
    ? `Hello. ${NO_MODEL} Ask me for help to hear what I can do.`
    : undefined;

/** The first that applies answers: what is asked goes before how it is begun. */
const RULES: readonly Rule[] = [help, repeat, spell, summarise, sum, time, date, goodbye, greeting];

function last(earlier: readonly ChatMessage[], role: ChatMessage['role']): string | undefined {
  return earlier.findLast((message) => message.role === role)?.content;
}

function recall(lead: string, said: string | undefined): string {
  return said === undefined
    ? 'I remember nothing that was said before. Perhaps it was too long ago.'
    : `${lead} this: ${quote(said)}`;
}

const HALF_A_CHARACTER = /[\ud800-\udbff]$/u;

/** As it was said, at most so long, and with an end to its sentence. */
function quote(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  const cut =
    line.length > QUOTE_CHARS
      ? `${line.slice(0, QUOTE_CHARS).replace(HALF_A_CHARACTER, '').trimEnd()} and so on`
      : line;
  return /[.!?]$/.test(cut) ? cut : `${cut}.`;
}

function lastWord(text: string | undefined): string | undefined {
  return text?.match(/[\p{L}\d'-]+/gu)?.at(-1);
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function clockTime(now: Date): string {
  return now.toLocaleTimeString('en-US', { hour: 'numeric', minute: '2-digit' });
}

function calendarDay(now: Date): string {
  return now.toLocaleDateString('en-US', {
    weekday: 'long',
    year: 'numeric',
    month: 'long',
    day: 'numeric',
  });
}

function zone(now: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'long' }).formatToParts(now);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? 'not known';
}
