import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import {
  booleanVar,
  ConfigError,
  enumVar,
  integerVar,
  numberVar,
  parseEnv,
  secondsOrOffVar,
  textVar,
} from './env.ts';

/** The value that `variable` takes from this text, or the message of its fault. */
function read<T>(variable: z.ZodType<T>, raw?: string): T | string {
  try {
    return parseEnv(z.object({ X: variable }), raw === undefined ? {} : { X: raw }).X;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

const fault = (message: string): string => `invalid configuration: X ${message}`;

describe('a variable', () => {
  it.each([undefined, '', '   '])('that is %p takes its default', (raw) => {
    expect(read(textVar({ default: 'd', doc: '' }), raw)).toBe('d');
    expect(read(integerVar({ default: 7, min: 1, max: 9, doc: '' }), raw)).toBe(7);
    expect(read(booleanVar({ default: true, doc: '' }), raw)).toBe(true);
    expect(read(secondsOrOffVar({ default: 150, doc: '' }), raw)).toBe(150_000);
  });

  it('is trimmed', () => {
    expect(read(textVar({ default: '', doc: '' }), '  a b ')).toBe('a b');
    expect(read(integerVar({ default: 0, min: 0, max: 9, doc: '' }), ' 4 ')).toBe(4);
  });

  it('carries what the documentation says of it', () => {
    const variable = textVar({ default: 'd', doc: 'What it is for.', secret: true });
    expect(variable.meta()).toEqual({
      doc: 'What it is for.',
      type: 'text',
      default: 'd',
      secret: true,
    });
  });
});

describe('textVar', () => {
  it('refuses what its pattern does not match', () => {
    const variable = textVar({ default: '', doc: '', pattern: /^rediss?:/ });
    expect(read(variable, 'redis://x')).toBe('redis://x');
    expect(read(variable, 'http://x')).toBe(fault('must match ^rediss?:'));
  });
});

describe('enumVar', () => {
  const variable = enumVar(['info', 'warn'], { default: 'info', doc: '' });

  it('takes its words in any case', () => {
    expect(read(variable, 'WARN')).toBe('warn');
  });

  it('refuses any other word and names those it takes', () => {
    expect(read(variable, 'loud')).toBe(fault('must be one of info, warn, not "loud"'));
  });
});

describe('integerVar', () => {
  const variable = integerVar({ default: 5, min: 1, max: 10, doc: '' });

  it.each(['1', '10'])('takes its bounds: %s', (raw) => {
    expect(read(variable, raw)).toBe(Number(raw));
  });

  it.each(['0', '11', '1.5', 'five', '1e', 'Infinity', 'NaN'])('refuses %s', (raw) => {
    expect(read(variable, raw)).toBe(fault(`must be a whole number from 1 to 10, not "${raw}"`));
  });
});

describe('numberVar', () => {
  const variable = numberVar({ default: 1, min: 0.2, max: 3, doc: '' });

  it('takes fractions', () => {
    expect(read(variable, '0.25')).toBe(0.25);
  });

  it.each(['0.1', '3.01', 'x', 'Infinity'])('refuses %s', (raw) => {
    expect(read(variable, raw)).toBe(fault(`must be a number from 0.2 to 3, not "${raw}"`));
  });
});

describe('booleanVar', () => {
  const variable = booleanVar({ default: false, doc: '' });

  it.each(['1', 'true', 'YES', 'on'])('takes %s for true', (raw) => {
    expect(read(variable, raw)).toBe(true);
  });

  it.each(['0', 'False', 'no', 'OFF'])('takes %s for false', (raw) => {
    expect(read(booleanVar({ default: true, doc: '' }), raw)).toBe(false);
  });

  it('refuses any other word', () => {
    expect(read(variable, 'maybe')).toMatch(/must be one of 1, true, .*, not "maybe"$/);
  });
});

describe('secondsOrOffVar', () => {
  const variable = secondsOrOffVar({ default: 1, doc: '' });

  it.each(['0', 'none', 'NULL', 'off', 'disabled'])('takes %s for no limit', (raw) => {
    expect(read(variable, raw)).toBeUndefined();
  });

  it('gives seconds in milliseconds', () => {
    expect(read(variable, '2.5')).toBe(2_500);
  });

  it.each(['-1', '0.0001', 'soon'])('refuses %s', (raw) => {
    expect(read(variable, raw)).toMatch(/must be a number from/);
  });
});

describe('parseEnv', () => {
  const schema = z.object({
    A: integerVar({ default: 1, min: 0, max: 5, doc: '' }),
    B: booleanVar({ default: true, doc: '' }),
  });

  it('ignores variables that the schema does not declare', () => {
    expect(parseEnv(schema, { A: '2', HOME: '/' })).toEqual({ A: 2, B: true });
  });

  it('throws all faults together, each with its variable', () => {
    expect.assertions(2);
    try {
      parseEnv(schema, { A: '6', B: 'perhaps' });
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as ConfigError).faults.map(({ variable }) => variable)).toEqual(['A', 'B']);
    }
  });

  it('throws the faults of a transform, too', () => {
    const checked = schema.refine(({ A }) => A !== 3, 'A and B do not go together');
    expect(() => parseEnv(checked, { A: '3' })).toThrow('(all) A and B do not go together');
  });
});
