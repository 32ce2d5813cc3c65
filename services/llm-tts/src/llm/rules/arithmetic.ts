import { numberAt } from './number-words.ts';

type Operator = '+' | '-' | '*' | '/' | '%';

const OPERATORS: readonly (readonly [Operator, readonly string[]])[] = [
  ['+', ['plus']],
  ['+', ['+']],
  ['-', ['minus']],
  ['-', ['-']],
  ['-', ['take', 'away']],
  ['*', ['times']],
  ['*', ['multiplied', 'by']],
  ['*', ['*']],
  ['*', ['x']],
  ['/', ['divided', 'by']],
  ['/', ['over']],
  ['/', ['/']],
  ['%', ['percent', 'of']],
  ['%', ['%', 'of']],
];
const SPOKEN = { '+': 'plus', '-': 'minus', '*': 'times', '/': 'divided by', '%': 'percent of' };

export interface Sum {
  /** As it was understood: "2 plus 3 times 4". */
  readonly asked: string;
  /** Undefined: divided by zero. */
  readonly value: number | undefined;
}

interface Terms {
  readonly numbers: readonly number[];
  readonly operators: readonly Operator[];
}

/** The first sum in a sentence of lower-case English, in digits or words; at least one operator makes a sum. */
export function findSum(text: string): Sum | undefined {
  const words = text
    .replace(/(\d),(?=\d{3}\b)/g, '$1')
    .replace(/([+*/%()]|(?<=\d)\s*[x-]\s*(?=\d))/g, ' $1 ')
    .replace(/(?<=[a-z])-(?=[a-z])/g, ' ')
    .split(/\s+/)
    .map((word) => word.replace(/[?!.,;:]+$/, ''))
    .filter((word) => word !== '');
  for (let at = 0; at < words.length; at++) {
    const squared = squareAt(words, at);
    if (squared !== undefined) return squared;
    const terms = termsAt(words, at);
    if (terms.operators.length > 0) return { asked: spoken(terms), value: result(terms) };
  }
  return undefined;
}

/** A number as it is told: no more digits than mean something. */
export function tellNumber(value: number): string {
  const rounded = Number(value.toPrecision(10));
  return Math.abs(rounded) < 1e15 ? rounded.toLocaleString('en-US', DIGITS) : String(rounded);
}

const DIGITS = { maximumFractionDigits: 8, useGrouping: false } as const;

function squareAt(words: readonly string[], at: number): Sum | undefined {
  if (words[at] === 'square' && words[at + 1] === 'root' && words[at + 2] === 'of') {
    const found = numberAt(words, at + 3);
    if (found === undefined || found.value < 0) return undefined;
    return {
      asked: `the square root of ${tellNumber(found.value)}`,
      value: Math.sqrt(found.value),
    };
  }
  const found = numberAt(words, at);
  if (found === undefined || words[found.next] !== 'squared') return undefined;
  return { asked: `${tellNumber(found.value)} squared`, value: found.value ** 2 };
}

function termsAt(words: readonly string[], start: number): Terms {
  const numbers: number[] = [];
  const operators: Operator[] = [];
  let found = numberAt(words, start);
  while (found !== undefined) {
    numbers.push(found.value);
    const operator = operatorAt(words, found.next);
    if (operator === undefined) break;
    found = numberAt(words, operator.next);
    if (found !== undefined) operators.push(operator.sign);
  }
  return { numbers, operators };
}

function operatorAt(
  words: readonly string[],
  at: number,
): { readonly sign: Operator; readonly next: number } | undefined {
  for (const [sign, spelling] of OPERATORS)
    if (spelling.every((word, index) => words[at + index] === word))
      return { sign, next: at + spelling.length };
  return undefined;
}

function spoken({ numbers, operators }: Terms): string {
  return numbers
    .flatMap((number, index) => {
      const operator = operators[index - 1];
      return operator ? [SPOKEN[operator], tellNumber(number)] : [tellNumber(number)];
    })
    .join(' ');
}

/** Products and quotients before sums, each from left to right. */
function result({ numbers, operators }: Terms): number | undefined {
  let sum = 0;
  let product = numbers[0] ?? 0;
  for (const [index, operator] of operators.entries()) {
    const next = numbers[index + 1] ?? 0;
    switch (operator) {
      case '+':
        sum += product;
        product = next;
        break;
      case '-':
        sum += product;
        product = -next;
        break;
      case '*':
        product *= next;
        break;
      case '/':
        if (next === 0) return undefined;
        product /= next;
        break;
      case '%':
        product = (product / 100) * next;
        break;
    }
  }
  return sum + product;
}
