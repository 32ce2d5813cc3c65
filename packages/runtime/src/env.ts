import { z } from 'zod';

/** What `docs/configuration.md` says of a variable. */
export interface EnvMeta {
  readonly doc: string;
  readonly type: string;
  readonly default: string;
  readonly secret?: boolean;
}

interface Options<T> {
  readonly default: T;
  readonly doc: string;
}

/** An empty variable counts as unset: templates render unset values as empty strings. */
function variable<T>(
  meta: EnvMeta,
  fallback: T,
  parse: (raw: string, fail: (message: string) => void) => T,
): z.ZodType<T> {
  return z
    .string()
    .optional()
    .transform((raw, context) => {
      if (raw === undefined || raw.trim() === '') return fallback;
      return parse(raw.trim(), (message) => context.addIssue({ code: 'custom', message }));
    })
    .meta({ ...meta });
}

export function textVar(
  options: Options<string> & { secret?: boolean; pattern?: RegExp },
): z.ZodType<string> {
  const meta = {
    doc: options.doc,
    type: 'text',
    default: options.default,
    secret: options.secret ?? false,
  };
  return variable(meta, options.default, (raw, fail) => {
    if (options.pattern && !options.pattern.test(raw)) fail(`must match ${options.pattern.source}`);
    return raw;
  });
}

export function enumVar<const T extends string>(
  values: readonly T[],
  options: Options<T>,
): z.ZodType<T> {
  const type = values.join(' \\| ');
  return variable(
    { doc: options.doc, type, default: options.default },
    options.default,
    (raw, fail) => {
      const found = values.find((value) => value === raw.toLowerCase());
      if (found === undefined) fail(`must be one of ${values.join(', ')}, not "${raw}"`);
      return found ?? options.default;
    },
  );
}

/** Several of `values`, in order and separated by commas, each once. */
export function enumListVar<const T extends string>(
  values: readonly T[],
  options: Options<readonly T[]>,
): z.ZodType<readonly T[]> {
  const type = `list of ${values.join(', ')}`;
  return variable(
    { doc: options.doc, type, default: options.default.join(',') },
    options.default,
    (raw, fail) => {
      const names = raw.split(',').map((name) => name.trim().toLowerCase());
      const found = values.filter((value) => names.includes(value));
      if (found.length === names.length)
        return names.flatMap((name) => found.find((value) => value === name) ?? []);
      fail(
        `must name some of ${values.join(', ')}, each once and separated by commas, not "${raw}"`,
      );
      return options.default;
    },
  );
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

function parseNumber(
  raw: string,
  bounds: Bounds,
  whole: boolean,
  fail: (message: string) => void,
): number {
  const value = Number(raw);
  const shaped = whole ? Number.isInteger(value) : Number.isFinite(value);
  if (!shaped || value < bounds.min || value > bounds.max) {
    fail(
      `must be ${whole ? 'a whole number' : 'a number'} from ${bounds.min} to ${bounds.max}, not "${raw}"`,
    );
  }
  return value;
}

/** `valid` narrows the range further; `rule` says how. */
export function integerVar(
  options: Options<number> & Bounds & { valid?: (value: number) => boolean; rule?: string },
): z.ZodType<number> {
  const { min, max, valid, rule } = options;
  const type = `integer ${rule ?? `${min}..${max}`}`;
  const meta = { doc: options.doc, type, default: String(options.default) };
  return variable(meta, options.default, (raw, fail) => {
    const value = parseNumber(raw, options, true, fail);
    if (valid?.(value) === false) fail(`must be ${rule}, not "${raw}"`);
    return value;
  });
}

export function numberVar(options: Options<number> & Bounds): z.ZodType<number> {
  const meta = {
    doc: options.doc,
    type: `number ${options.min}..${options.max}`,
    default: String(options.default),
  };
  return variable(meta, options.default, (raw, fail) => parseNumber(raw, options, false, fail));
}

const YES = ['1', 'true', 'yes', 'on'];
const NO = ['0', 'false', 'no', 'off'];

export function booleanVar(options: Options<boolean>): z.ZodType<boolean> {
  const meta = { doc: options.doc, type: 'boolean', default: String(options.default) };
  return variable(meta, options.default, (raw, fail) => {
    const word = raw.toLowerCase();
    if (!YES.includes(word) && !NO.includes(word))
      fail(`must be one of ${[...YES, ...NO].join(', ')}, not "${raw}"`);
    return YES.includes(word);
  });
}

const OFF = ['0', 'none', 'null', 'off', 'disabled'];

/** Seconds, or one of 0/none/null/off/disabled for no limit. Value: milliseconds, or `undefined` when off. */
export function secondsOrOffVar(options: Options<number>): z.ZodType<number | undefined> {
  const meta = {
    doc: options.doc,
    type: 'seconds, or 0/none/null/off/disabled',
    default: String(options.default),
  };
  return variable<number | undefined>(meta, options.default * 1000, (raw, fail) => {
    if (OFF.includes(raw.toLowerCase())) return undefined;
    return parseNumber(raw, { min: 0.001, max: 1e7 }, false, fail) * 1000;
  });
}

export interface ConfigFault {
  readonly variable: string;
  readonly message: string;
}

/** Every fault of an environment at once. */
export class ConfigError extends Error {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(
      `invalid configuration: ${faults.map((fault) => `${fault.variable} ${fault.message}`).join('; ')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** Reads the variables that `schema` declares; others are ignored. Throws ConfigError with all faults. */
export function parseEnv<T>(schema: z.ZodType<T>, env: NodeJS.ProcessEnv): T {
  const result = schema.safeParse(env);
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.map((issue) => ({
      variable: issue.path.join('.') || '(all)',
      message: issue.message,
    })),
  );
}
