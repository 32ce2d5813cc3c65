import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { SCOPES, type Scope, Tenant, TenantLimits } from '@voice-fleet/fleet/tenant';
import {
  type CredentialRef,
  formatCredential,
  newCredential,
  secretDigest,
} from '@voice-fleet/fleet/tenants/credential';
import type { StoredCredential } from '@voice-fleet/fleet/tenants/credential-store';
import { KeyRecord } from '@voice-fleet/fleet/tenants/records';
import { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';

/** What was compared in constant time. */
const compared: [Uint8Array, Uint8Array][] = [];
const crypto = await import('node:crypto');
jest.unstable_mockModule('node:crypto', () => ({
  ...crypto,
  timingSafeEqual: (a: Uint8Array, b: Uint8Array): boolean => {
    compared.push([a, b]);
    return crypto.timingSafeEqual(a, b);
  },
}));
const { Authenticator } = await import('./authenticator.ts');

const ENV_KEY = 'the operator set this';
const ENV_LIMITS = TenantLimits.parse({ maxSessions: 7 });
const HELD = newCredential('key');
const HELD_TEXT = formatCredential(HELD);

let clock: FakeClock;
let asked: string[];
let touched: string[];
let logged: string;
let away: boolean;
let watch: { version: string | undefined; polledMs: number; away: boolean };
/** What Redis holds. */
let stored: Map<string, StoredCredential | TenantError>;

function keyOf(fields: Partial<KeyRecord> = {}, tenantFields: object = {}): StoredCredential {
  const digest = secretDigest(HELD.secret);
  const tenant = Tenant.parse({
    id: 'acme',
    limits: { maxSessions: 3 },
    createdAtMs: 1,
    ...tenantFields,
  });
  const raw = { id: HELD.id, tenantId: 'acme', scopes: ['stream'], createdAtMs: 1, ...fields };
  const key = KeyRecord.parse({ ...raw, hash: digest.toString('hex') });
  const { tenantId, scopes } = key;
  return {
    tenantId,
    keyId: key.id,
    scopes,
    digest,
    tokenExpiresAtMs: undefined,
    stored: { key, tenant },
  };
}

function authenticatorWith(envKey = ENV_KEY): InstanceType<typeof Authenticator> {
  const store = {
    find: (refs: readonly CredentialRef[]) => {
      asked.push(...refs.map(({ id }) => id));
      if (away) return Promise.reject(new RedisUnavailable(new Error('gone')));
      const version = watch.version ?? '0';
      return Promise.resolve({ version, found: refs.map(({ id }) => stored.get(id)) });
    },
    touch: (keyId: string) => {
      touched.push(keyId);
      return Promise.resolve();
    },
  };
  const log = createLogger('test', 'trace', {
    write: (line: string) => {
      logged += line;
    },
  });
  return new Authenticator({ store, watch, clock, log, envKey, envLimits: ENV_LIMITS });
}

let authenticator: InstanceType<typeof Authenticator>;

/** Tenant of the principal, or the code of the refusal. */
async function outcome(credential: string, scope: Scope = 'stream'): Promise<string> {
  // Batches of look-ups are spaced.
  clock.advance(10);
  try {
    return (await authenticator.authenticate(credential, scope)).tenantId;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

beforeEach(() => {
  clock = new FakeClock();
  [asked, touched, logged, away] = [[], [], '', false];
  watch = { version: '5', polledMs: 0, away: false };
  stored = new Map([[HELD.id, keyOf()]]);
  authenticator = authenticatorWith();
});

describe('the key of the environment', () => {
  it('is tenant default with all scopes and the limits of the configuration, without Redis', async () => {
    away = true;
    expect(await authenticator.authenticate(ENV_KEY, 'tokens')).toEqual({
      tenantId: 'default',
      keyId: 'env',
      scopes: SCOPES,
      limits: ENV_LIMITS,
    });
    expect([asked, touched]).toEqual([[], []]);
  });

  it('is matched whole', async () => {
    for (const key of [
      '',
      't',
      ENV_KEY.slice(1),
      `${ENV_KEY} `,
      `${ENV_KEY}\0`,
      ENV_KEY.toUpperCase(),
    ])
      expect([key, await outcome(key)]).toEqual([key, 'authentication_failed']);
  });

  it('Y5: locks everyone out but stored keys when it is empty, the empty key included', async () => {
    authenticator = authenticatorWith('');
    for (const key of ['', ENV_KEY]) expect(await outcome(key)).toBe('authentication_failed');
    expect(await outcome(HELD_TEXT)).toBe('acme');
  });

  it('stands for the tokens made with it, and takes them along when it goes', async () => {
    const token = newCredential('token');
    stored.set(token.id, {
      tenantId: 'default',
      keyId: 'env',
      scopes: ['stream'],
      digest: secretDigest(token.secret),
      tokenExpiresAtMs: clock.wallNow() + 1_000,
      stored: undefined,
    });
    const principal = await authenticator.authenticate(formatCredential(token), 'stream');
    expect(principal).toMatchObject({ keyId: 'env', scopes: ['stream'], limits: ENV_LIMITS });
    authenticator = authenticatorWith('');
    expect(await outcome(formatCredential(token))).toBe('authentication_failed');
  });
});

describe('a stored key', () => {
  it('gives tenant, scopes and limits', async () => {
    expect(await authenticator.authenticate(HELD_TEXT, 'stream')).toMatchObject({
      tenantId: 'acme',
      keyId: HELD.id,
      scopes: ['stream'],
      limits: { maxSessions: 3 },
    });
  });

  it('is refused for a scope that it lacks, which is named', async () => {
    await expect(authenticator.authenticate(HELD_TEXT, 'usage')).rejects.toMatchObject({
      code: 'scope_missing',
      details: { scope: 'usage' },
    });
  });

  it.each([
    ['revoked', { revokedAtMs: 1 }, {}],
    ['expired', { expiresAtMs: 1 }, {}],
    ['of a disabled tenant', {}, { disabled: true }],
  ])('that is %s is refused as revoked, but only to who has its secret', async (_, key, tenant) => {
    stored.set(HELD.id, keyOf(key, tenant));
    expect(await outcome(HELD_TEXT)).toBe('key_revoked');
    const guess = formatCredential({ ...newCredential('key'), id: HELD.id });
    expect(await outcome(guess)).toBe('authentication_failed');
  });

  it('ends at its time even when it is remembered', async () => {
    stored.set(HELD.id, keyOf({ expiresAtMs: clock.wallNow() + 1_000 }));
    expect(await outcome(HELD_TEXT)).toBe('acme');
    clock.advance(1_000);
    expect(await outcome(HELD_TEXT)).toBe('key_revoked');
    expect(asked).toHaveLength(1);
  });

  it('with an unreadable record is an error of ours, told to the operator', async () => {
    stored.set(HELD.id, new TenantError('unreadable_record', 'the record of key x cannot be read'));
    expect(await outcome(HELD_TEXT)).toBe('internal');
    expect(logged).toContain('the record of key x cannot be read');
  });

  it('is noted as used once a minute', async () => {
    for (let use = 0; use < 5; use += 1) await outcome(HELD_TEXT);
    expect(touched).toEqual([HELD.id]);
    clock.advance(60_000);
    await outcome(HELD_TEXT);
    expect(touched).toEqual([HELD.id, HELD.id]);
  });
});

describe('a token', () => {
  it('is over at its time even when it is remembered', async () => {
    const token = newCredential('token');
    const digest = secretDigest(token.secret);
    stored.set(token.id, { ...keyOf(), digest, tokenExpiresAtMs: clock.wallNow() + 1_000 });
    expect(await outcome(formatCredential(token))).toBe('acme');
    clock.advance(1_000);
    expect(await outcome(formatCredential(token))).toBe('authentication_failed');
  });
});

describe('memory', () => {
  const uses = async (count: number): Promise<number> => {
    asked.length = 0;
    for (let use = 0; use < count; use += 1) await outcome(HELD_TEXT);
    return asked.length;
  };

  it('asks Redis once a minute while nothing changes', async () => {
    expect(await uses(100)).toBe(1);
    clock.advance(60_000);
    expect(await uses(1)).toBe(1);
  });

  it('asks again after any change', async () => {
    await uses(1);
    [watch.version, watch.polledMs] = ['6', clock.now() + 1];
    expect(await uses(3)).toBeGreaterThan(0);
  });

  it('believes what it read after the version was last asked for', async () => {
    stored.set(HELD.id, keyOf());
    watch.version = '4';
    await uses(1);
    watch.version = '5';
    expect(await uses(3)).toBe(0);
    watch.polledMs = clock.now() + 1;
    expect(await uses(1)).toBe(1);
  });

  it('lasts for ten minutes while Redis is away, and no longer', async () => {
    await uses(1);
    [away, watch.away] = [true, true];
    clock.advance(9 * 60_000);
    expect(await outcome(HELD_TEXT)).toBe('acme');
    clock.advance(60_000);
    expect(await outcome(HELD_TEXT)).toBe('fleet_unavailable');
  });

  it('serves when Redis is lost before the watch has noticed', async () => {
    await uses(1);
    away = true;
    clock.advance(61_000);
    expect(await outcome(HELD_TEXT)).toBe('acme');
  });

  it('is no help for a key never seen: come back later', async () => {
    away = true;
    await expect(authenticator.authenticate(HELD_TEXT, 'stream')).rejects.toMatchObject({
      code: 'fleet_unavailable',
      details: { retry_after_s: 1 },
    });
  });

  it('knows an unknown id for five seconds', async () => {
    const unknown = formatCredential(newCredential('key'));
    for (let use = 0; use < 100; use += 1) await outcome(unknown);
    expect(asked).toHaveLength(1);
    clock.advance(5_000);
    expect(await outcome(unknown)).toBe('authentication_failed');
    expect(asked).toHaveLength(2);
  });

  it('needs no Redis to refuse wrong secrets of a known id, nor what is not written like a key', async () => {
    await outcome(HELD_TEXT);
    asked.length = 0;
    for (let guess = 0; guess < 100; guess += 1)
      expect(await outcome(formatCredential({ ...newCredential('key'), id: HELD.id }))).toBe(
        'authentication_failed',
      );
    for (const text of [
      '',
      'x'.repeat(1_000_000),
      '\u0000\uffff',
      `vf_${HELD.id}_`,
      `${HELD_TEXT}\n`,
    ])
      expect(await outcome(text)).toBe('authentication_failed');
    expect(asked).toEqual([]);
  });
});

describe('secrecy', () => {
  it('compares digests of one length twice, whatever was sent', async () => {
    const guess = formatCredential({ ...newCredential('key'), id: HELD.id });
    for (const text of [
      HELD_TEXT,
      guess,
      formatCredential(newCredential('key')),
      '',
      'x'.repeat(10_000),
    ]) {
      compared.length = 0;
      await outcome(text);
      expect(compared.map((pair) => pair.map((side) => side.length))).toEqual([
        [32, 32],
        [32, 32],
      ]);
    }
  });

  it('logs no secret, whatever happens', async () => {
    stored.set(HELD.id, new TenantError('unreadable_record', 'cannot be read'));
    await outcome(HELD_TEXT);
    expect(logged).not.toContain(HELD.secret);
  });
});
