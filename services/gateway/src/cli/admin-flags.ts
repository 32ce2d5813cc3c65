import { type ParseArgsConfig, parseArgs } from 'node:util';
import { SCOPES, type Scope, TenantLimits } from '@voice-fleet/fleet/tenant';
import type { KeyOptions, TenantFields } from '@voice-fleet/fleet/tenants/tenant-store';
import { KEY_LIFE_S_MAX, OVERLAP_S } from '../http/admin-bodies.ts';

/** What the person who typed the command can put right: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Options = NonNullable<ParseArgsConfig['options']>;
export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

const limitNames = Object.keys(TenantLimits.shape) as (keyof TenantLimits)[];
const text = { type: 'string' } as const;
const COMMON = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;

/** `maxSessionS` is `--max-session-s`. */
function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Flags of commands about tenants: name, models and every limit. */
export const TENANT_FLAGS: Options = {
  name: text,
  alias: { type: 'string', multiple: true },
  models: text,
  ...Object.fromEntries(limitNames.map((name) => [flagName(name), text])),
};
export const UPDATE_FLAGS: Options = {
  ...TENANT_FLAGS,
  enable: { type: 'boolean' },
  disable: { type: 'boolean' },
};
export const KEY_FLAGS: Options = { name: text, scopes: text, 'expires-in': text };
export const ROTATE_FLAGS: Options = { overlap: text };

/** Throws UsageError for flags that are not among `own`, and unless there is a word for each of `words`. */
export function readFlags(
  args: readonly string[],
  own: Options,
  words: readonly string[],
): { flags: Flags; words: string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...COMMON, ...own },
      allowPositionals: true,
    });
    if (values['help']) return { flags: { help: true }, words: [] };
    if (positionals.length !== words.length) throw new Error(wanted(words));
    return { flags: values as Flags, words: positionals };
  } catch (error) {
    throw new UsageError(String(error instanceof Error ? error.message : error).split('\n')[0]);
  }
}

function wanted(words: readonly string[]): string {
  return words.length === 0 ? 'This command takes flags only.' : `Give ${words.join(' and ')}.`;
}

export function tenantFields(flags: Flags): TenantFields {
  if (flags['enable'] && flags['disable'])
    throw new UsageError('--enable and --disable exclude each other.');
  const limits = limitNames.flatMap((name) => {
    const value = flags[flagName(name)];
    return typeof value === 'string' ? [[name, limitValue(name, value)]] : [];
  });
  return {
    ...(typeof flags['name'] === 'string' && { name: flags['name'] }),
    ...(Array.isArray(flags['alias']) && { aliases: aliasesOf(flags['alias']) }),
    ...(typeof flags['models'] === 'string' && { models: modelsOf(flags['models']) }),
    ...(limits.length > 0 && { limits: Object.fromEntries(limits) as Partial<TenantLimits> }),
    ...(flags['disable'] && { disabled: true }),
    ...(flags['enable'] && { disabled: false }),
  };
}

/** `name=model` each; with nothing behind the sign the name is taken away. */
function aliasesOf(given: readonly string[]): Record<string, string | null> {
  const pairs = given.map((one): [string, string | null] => {
    const at = one.indexOf('=');
    if (at <= 0) throw new UsageError(`--alias takes name=model, not "${one}".`);
    return [one.slice(0, at), one.slice(at + 1) || null];
  });
  return Object.fromEntries(pairs);
}

function modelsOf(list: string): string[] {
  const names = list.split(',').map((name) => name.trim());
  return names.filter((name) => name !== '');
}

function limitValue(name: keyof TenantLimits, value: string): unknown {
  const isWord = name === 'priority';
  const number = value.trim() === '' ? Number.NaN : Number(value);
  const result = TenantLimits.shape[name].safeParse(isWord ? value : number);
  if (result.success) return result.data;
  throw new UsageError(`--${flagName(name)} ${value}: ${result.error.issues[0]?.message}`);
}

export function keyOptions(flags: Flags): KeyOptions {
  const { name, scopes } = flags;
  const expiresIn = flags['expires-in'];
  return {
    ...(typeof name === 'string' && { name }),
    ...(typeof scopes === 'string' && { scopes: scopes.split(',').map(scopeOf) }),
    ...(typeof expiresIn === 'string' && {
      expiresInS: seconds('expires-in', expiresIn, 1, KEY_LIFE_S_MAX),
    }),
  };
}

export function overlapS(flags: Flags): number {
  const { overlap } = flags;
  return typeof overlap === 'string'
    ? seconds('overlap', overlap, 0, OVERLAP_S.max)
    : OVERLAP_S.default;
}

function scopeOf(word: string): Scope {
  const scope = SCOPES.find((one) => one === word.trim());
  if (scope === undefined)
    throw new UsageError(`--scopes takes some of ${SCOPES.join(',')}, not "${word}".`);
  return scope;
}

const UNIT_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** 90d, 12h, 30m, 45s. */
function seconds(flag: string, given: string, min: number, max: number): number {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(given) ?? [];
  const value = Number(count) * (UNIT_S[unit] ?? Number.NaN);
  if (value >= min && value <= max) return value;
  throw new UsageError(
    `--${flag} takes a time such as 90d, 12h, 30m or 45s, of ${max / 86_400} days at the most, not "${given}".`,
  );
}

/** The id of a key, given bare, as its prefix, or as the whole key, which somebody may want revoked. */
export function keyIdOf(word: string): string {
  const id = /^(?:vf_)?([0-9a-f]{16})(?:_.*)?$/.exec(word)?.[1];
  if (id === undefined)
    throw new UsageError('A key is named by its id (16 hex digits) or its prefix (vf_…_).');
  return id;
}
