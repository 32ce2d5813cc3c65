const ONES =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  );
const TENS = '- - twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');
const SCALES: Readonly<Record<string, number>> = { thousand: 1e3, million: 1e6, billion: 1e9 };

export interface FoundNumber {
  readonly value: number;
  /** Index of the word behind it. */
  readonly next: number;
}

/** The number that begins at `words[at]`, in digits or in English words: "two hundred and five", "3.5", "minus one point two". */
export function numberAt(words: readonly string[], at: number): FoundNumber | undefined {
  const first = words[at];
  if (first === 'minus' || first === 'negative' || first === '-') {
    const found = positiveAt(words, at + 1);
    return found && { value: -found.value, next: found.next };
  }
  return positiveAt(words, at);
}

function positiveAt(words: readonly string[], at: number): FoundNumber | undefined {
  const digits = words[at];
  if (digits !== undefined && /^\d+(\.\d+)?$/.test(digits)) {
    const scale = SCALES[words[at + 1] ?? ''];
    return { value: Number(digits) * (scale ?? 1), next: at + (scale === undefined ? 1 : 2) };
  }
  const whole = wholeAt(words, at);
  return whole && withDecimals(words, whole);
}

function wholeAt(words: readonly string[], at: number): FoundNumber | undefined {
  let total = 0;
  let group: number | undefined;
  let next = at;
  // "a hundred", but not "a" alone.
  if (words[next] === 'a' && /^(hundred|thousand|million|billion)$/.test(words[next + 1] ?? '')) {
    group = 1;
    next += 1;
  }
  /** What may still follow: after twenty a digit, after a hundred all below it. */
  let room = Infinity;
  for (; next < words.length; next++) {
    const word = words[next] ?? '';
    const scale = SCALES[word];
    const small = smallNumber(word);
    if (word === 'hundred' && group !== undefined && group < 100) {
      group *= 100;
      room = 100;
    } else if (scale !== undefined && group !== undefined) {
      total += group * scale;
      group = undefined;
      room = scale;
    } else if (small !== undefined && small < room) {
      group = (group ?? 0) + small;
      room = small >= 20 ? 10 : 0;
    } else if (!isJoint(words, next)) break;
  }
  if (next === at || (group === undefined && total === 0)) return undefined;
  return { value: total + (group ?? 0), next };
}

/** The "and" in "a hundred and five", which is no plus. */
function isJoint(words: readonly string[], at: number): boolean {
  return (
    words[at] === 'and' &&
    /^(hundred|thousand|million|billion)$/.test(words[at - 1] ?? '') &&
    smallNumber(words[at + 1] ?? '') !== undefined
  );
}

function withDecimals(words: readonly string[], whole: FoundNumber): FoundNumber {
  if (words[whole.next] !== 'point') return whole;
  let digits = '';
  let next = whole.next + 1;
  for (; next < words.length; next++) {
    const digit = ONES.indexOf(words[next] ?? '');
    if (digit < 0 || digit > 9) break;
    digits += String(digit);
  }
  return digits === '' ? whole : { value: Number(`${whole.value}.${digits}`), next };
}

function smallNumber(word: string): number | undefined {
  const one = ONES.indexOf(word);
  if (one >= 0) return one;
  const ten = TENS.indexOf(word);
  return ten >= 2 ? ten * 10 : undefined;
}
