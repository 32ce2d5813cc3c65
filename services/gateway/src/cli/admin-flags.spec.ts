import { describe, expect, it } from '@jest/globals';
import {
  KEY_FLAGS,
  keyIdOf,
  keyOptions,
  overlapS,
  ROTATE_FLAGS,
  readFlags,
  tenantFields,
  UPDATE_FLAGS,
  UsageError,
} from './admin-flags.ts';

const tenant = (...args: string[]) => tenantFields(readFlags(args, UPDATE_FLAGS, []).flags);
const key = (...args: string[]) => keyOptions(readFlags(args, KEY_FLAGS, []).flags);
const overlap = (...args: string[]) => overlapS(readFlags(args, ROTATE_FLAGS, []).flags);

describe('flags of tenants', () => {
  it('name every limit', () => {
    const given = tenant(
      ...['--name', 'Acme', '--max-sessions', '3', '--sessions-per-second', '0.5'],
      ...['--audio-minutes-per-day', '60', '--max-session-s', '3600', '--weight', '2'],
      ...['--messages-per-minute', '9', '--cancels-per-minute', '0', '--priority', 'low'],
    );
    expect(given).toEqual({
      name: 'Acme',
      limits: {
        maxSessions: 3,
        sessionsPerSecond: 0.5,
        audioMinutesPerDay: 60,
        maxSessionS: 3600,
        messagesPerMinute: 9,
        cancelsPerMinute: 0,
        weight: 2,
        priority: 'low',
      },
    });
  });

  it('name models', () => {
    expect(tenant('--alias', 'a=x=y', '--alias', 'b=', '--models', 'x, y,')).toEqual({
      aliases: { a: 'x=y', b: null },
      models: ['x', 'y'],
    });
    expect(tenant('--models', '')).toEqual({ models: [] });
    for (const wrong of ['a', '=x', ''])
      expect(() => tenant('--alias', wrong)).toThrow('--alias takes name=model');
  });

  it('leave out what was not given', () => {
    expect(tenant()).toEqual({});
    expect(tenant('--disable')).toEqual({ disabled: true });
    expect(tenant('--enable')).toEqual({ disabled: false });
  });

  it.each([
    ['--max-sessions', '-1'],
    ['--max-sessions=-1'],
    ['--max-sessions', '1.5'],
    ['--max-sessions', ''],
    ['--max-sessions', 'many'],
    ['--weight', '0'],
    ['--priority', 'urgent'],
    ['--enable', '--disable'],
    ['--colour', 'red'],
    ['extra'],
  ])('refuse %s %s', (...args) => {
    expect(() => tenant(...args)).toThrow(UsageError);
  });
});

describe('flags of keys', () => {
  it('are read', () => {
    expect(key('--name', 'web', '--scopes', 'stream, tokens', '--expires-in', '90d')).toEqual({
      name: 'web',
      scopes: ['stream', 'tokens'],
      expiresInS: 90 * 86_400,
    });
    expect(key()).toEqual({});
  });

  it.each([
    ['45s', 45],
    ['30m', 1800],
    ['12h', 43_200],
    ['30d', 2_592_000],
    ['0s', 0],
  ])('take %s as a time', (given, expected) => {
    expect(overlap('--overlap', given)).toBe(expected);
  });

  it('give the old key a day when nothing is said', () => {
    expect(overlap()).toBe(86_400);
  });

  it.each([
    ['--scopes', 'root'],
    ['--scopes', ''],
    ['--expires-in', '0s'],
    ['--expires-in', '90'],
    ['--expires-in', '-1d'],
    ['--expires-in', '99999d'],
  ])('refuse %s %s', (...args) => {
    expect(() => key(...args)).toThrow(UsageError);
  });

  it.each(['31d', '1w', '', 'x'])('refuse an overlap of %j', (given) => {
    expect(() => overlap('--overlap', given)).toThrow(UsageError);
  });
});

describe('keyIdOf', () => {
  const id = '0123456789abcdef';
  it.each([id, `vf_${id}_`, `vf_${id}_secret-of_it`])('finds the id in %s', (word) => {
    expect(keyIdOf(word)).toBe(id);
  });
  it.each(['', 'acme', `vft_${id}_x`, id.toUpperCase()])('refuses %j', (word) => {
    expect(() => keyIdOf(word)).toThrow(UsageError);
  });
});
