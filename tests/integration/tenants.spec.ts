import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, RedisUnavailable, untilReady } from '@voice-fleet/fleet/redis';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { TenantLimits } from '@voice-fleet/fleet/tenant';
import { parseCredential, secretDigest } from '@voice-fleet/fleet/tenants/credential';
import { CredentialStore } from '@voice-fleet/fleet/tenants/credential-store';
import { keyState } from '@voice-fleet/fleet/tenants/records';
import { keysOfTenant, TENANT_KEYS } from '@voice-fleet/fleet/tenants/redis-keys';
import { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import { KEYS_MAX, TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

let server: TestRedis;
let redis: Redis;
let other: Redis;
let clock: FakeClock;
let tenants: TenantStore;
let credentials: CredentialStore;

const connect = async (commandTimeoutMs = 30_000): Promise<Redis> => {
  const connection = connectRedis(server.url, { onError: () => undefined, commandTimeoutMs });
  await untilReady(connection, AbortSignal.timeout(30_000));
  return connection;
};

beforeAll(async () => {
  server = await startRedis();
  [redis, other] = await Promise.all([connect(), connect()]);
});
afterAll(async () => {
  redis.disconnect();
  other.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await redis.flushall();
  clock = new FakeClock();
  tenants = new TenantStore(redis, clock);
  credentials = new CredentialStore(redis, clock);
});

/** Everything that Redis holds, as one text. */
async function allOfRedis(): Promise<string> {
  const parts: unknown[] = [];
  for (const key of await redis.keys('*')) {
    const type = await redis.type(key);
    parts.push(key, type === 'hash' ? await redis.hgetall(key) : await redis.get(key));
  }
  return JSON.stringify(parts);
}

const fault = (code: string) => expect.objectContaining({ name: 'TenantError', code });
const secretOf = (key: string): string => parseCredential(key)?.secret ?? '';
const principal = (fields: Partial<Principal> = {}): Principal => ({
  tenantId: 'acme',
  keyId: 'env',
  scopes: ['stream', 'usage', 'tokens'],
  limits: TenantLimits.parse({}),
  ...fields,
});

describe('tenants', () => {
  it('are created with what is given and defaults for the rest, and read back', async () => {
    const made = await tenants.createTenant('acme', { name: 'Acme', limits: { maxSessions: 3 } });
    expect(made).toEqual({
      id: 'acme',
      name: 'Acme',
      disabled: false,
      createdAtMs: clock.wallNow(),
      limits: TenantLimits.parse({ maxSessions: 3 }),
      aliases: {},
      models: [],
    });
    expect(await tenants.getTenant('acme')).toEqual(made);
    expect(await tenants.listTenants()).toEqual({ items: [made], unreadable: [] });
  });

  it('are updated field by field: what is left out stays', async () => {
    await tenants.createTenant('acme', { name: 'Acme', limits: { maxSessions: 3, weight: 2 } });
    await tenants.updateTenant('acme', { limits: { weight: 5 } });
    await tenants.updateTenant('acme', { disabled: true });
    expect(await tenants.getTenant('acme')).toMatchObject({
      name: 'Acme',
      disabled: true,
      limits: { maxSessions: 3, weight: 5, priority: 'normal' },
    });
  });

  it('get further names of models one by one, and lose them with null', async () => {
    await tenants.createTenant('acme', { aliases: { a: 'ears', b: 'ears' }, models: ['ears'] });
    await tenants.updateTenant('acme', { aliases: { a: null, c: 'eyes' } });
    const names = { aliases: { b: 'ears', c: 'eyes' }, models: ['ears'] };
    expect(await tenants.getTenant('acme')).toMatchObject(names);
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, nth) => [`n${nth}`, 'ears']));
    for (const aliases of [many, { '': 'ears' }, { a: '' }])
      await expect(tenants.updateTenant('acme', { aliases })).rejects.toEqual(
        fault('invalid_value'),
      );
    expect(await tenants.getTenant('acme')).toMatchObject(names);
  });

  it.each([
    ['Acme', {}],
    ['', {}],
    ['a'.repeat(64), {}],
    ['acme', { name: 'x'.repeat(201) }],
    ['acme', { limits: { maxSessions: -1 } }],
    ['acme', { limits: { maxSessions: Number.POSITIVE_INFINITY } }],
    ['acme', { limits: { weight: 0 } }],
  ])('are not written with wrong values: %j %j', async (id, fields) => {
    await expect(tenants.createTenant(id, fields)).rejects.toEqual(fault('invalid_value'));
    expect(await redis.keys('*')).toEqual([]);
  });

  it('refuse a name that is taken, reserved or unknown', async () => {
    await tenants.createTenant('acme');
    await expect(tenants.createTenant('acme')).rejects.toEqual(fault('tenant_exists'));
    await expect(tenants.createTenant('default')).rejects.toEqual(fault('tenant_reserved'));
    for (const attempt of [
      () => tenants.getTenant('nobody'),
      () => tenants.updateTenant('nobody', { name: '' }),
      () => tenants.deleteTenant('nobody'),
      () => tenants.createKey('nobody'),
      () => tenants.listKeys('nobody'),
    ])
      await expect(attempt()).rejects.toEqual(fault('tenant_not_found'));
  });

  it('are disabled and lose their keys when deleted, but keep their record', async () => {
    await tenants.createTenant('acme');
    const { key } = await tenants.createKey('acme');
    await tenants.revokeKey((await tenants.createKey('acme')).key.id);
    expect(await tenants.deleteTenant('acme')).toMatchObject({
      tenant: { disabled: true },
      revokedKeys: 1,
    });
    await tenants.updateTenant('acme', { disabled: false });
    const [revoked] = (await tenants.listKeys('acme')).items.filter(({ id }) => id === key.id);
    expect(revoked?.revokedAtMs).toBe(clock.wallNow());
  });

  it('that cannot be read are told by name and do not hide the others', async () => {
    await tenants.createTenant('acme');
    await redis.hset(TENANT_KEYS.tenants, 'broken', '{"id":"broken"');
    const { items, unreadable } = await tenants.listTenants();
    expect(items.map(({ id }) => id)).toEqual(['acme']);
    expect(unreadable).toEqual([{ id: 'broken', reason: expect.stringContaining('broken') }]);
    await expect(tenants.getTenant('broken')).rejects.toEqual(fault('unreadable_record'));
  });
});

describe('changes', () => {
  it('made at once from two places are all kept, and each moves the version', async () => {
    await tenants.createTenant('acme');
    const versions = new Set([await tenants.version()]);
    const elsewhere = new TenantStore(other, clock);
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const store = index % 2 === 0 ? tenants : elsewhere;
        await store.createKey('acme', { name: `key ${index}` });
        versions.add(await store.version());
      }),
    );
    expect((await tenants.listKeys('acme')).items).toHaveLength(10);
    expect(versions.size).toBeGreaterThan(1);
    expect(Number(await tenants.version())).toBe(Math.max(...[...versions].map(Number)));
  });

  it('leave no live key behind when a tenant is deleted while keys are made', async () => {
    const elsewhere = new TenantStore(other, clock);
    for (let round = 0; round < 5; round += 1) {
      const id = `t${round}`;
      await tenants.createTenant(id);
      const made = Promise.allSettled(Array.from({ length: 5 }, () => elsewhere.createKey(id)));
      await tenants.deleteTenant(id);
      await made;
      const { items } = await tenants.listKeys(id);
      expect(items.filter(({ revokedAtMs }) => revokedAtMs === undefined)).toEqual([]);
    }
  });

  it('never bring the version back to one it had before Redis lost all', async () => {
    const before: string[] = [];
    for (const id of ['a', 'b', 'c']) {
      await tenants.createTenant(id);
      before.push(await tenants.version());
    }
    await redis.flushall();
    expect(await tenants.version()).toBe('0');
    for (const id of ['a', 'b', 'c']) {
      await tenants.createTenant(id);
      expect(before).not.toContain(await tenants.version());
    }
  });

  it('are refused with RedisUnavailable when Redis hangs', async () => {
    const impatient = await connect(300);
    server.freeze();
    const [keys, store] = [
      new CredentialStore(impatient, clock),
      new TenantStore(impatient, clock),
    ];
    await expect(store.createTenant('acme')).rejects.toThrow(RedisUnavailable);
    await expect(keys.find([{ kind: 'key', id: 'a' }])).rejects.toThrow(RedisUnavailable);
    server.thaw();
    impatient.disconnect();
  });
});

describe('keys', () => {
  beforeEach(() => tenants.createTenant('acme').then(() => undefined));

  it('show their secret once, and Redis holds its hash only', async () => {
    const made = await tenants.createKey('acme', { name: 'web', scopes: ['stream', 'tokens'] });
    const rotated = await tenants.rotateKey(made.key.id, 60);
    const { token } = await credentials.mint(principal({ keyId: made.key.id }));
    const held = await allOfRedis();
    for (const credential of [made.secret, rotated.secret, token]) {
      expect(secretOf(credential)).toHaveLength(43);
      expect(held).not.toContain(secretOf(credential));
      expect(held).toContain(secretDigest(secretOf(credential)).toString('hex'));
    }
    const listed = JSON.stringify(await tenants.listKeys('acme'));
    expect(listed).not.toContain('hash');
    expect(JSON.stringify(made.key)).not.toContain('hash');
  });

  it('are listed oldest first with all that is known of them', async () => {
    const { key: first } = await tenants.createKey('acme', { name: 'one', expiresInS: 100 });
    clock.advance(1_000);
    const { key: second } = await tenants.createKey('acme', { scopes: ['usage', 'usage'] });
    await credentials.touch(first.id);
    const nowMs = clock.wallNow();
    expect((await tenants.listKeys('acme')).items).toEqual([
      {
        id: first.id,
        tenantId: 'acme',
        name: 'one',
        scopes: ['stream'],
        createdAtMs: nowMs - 1_000,
        expiresAtMs: nowMs + 99_000,
        lastUsedAtMs: nowMs,
      },
      { id: second.id, tenantId: 'acme', name: '', scopes: ['usage'], createdAtMs: nowMs },
    ]);
  });

  it.each([
    [{ scopes: [] }],
    [{ expiresInS: 0 }],
    [{ expiresInS: Number.NaN }],
    [{ expiresInS: Number.POSITIVE_INFINITY }],
    [{ name: 'x'.repeat(201) }],
  ])('are not made with %j', async (options) => {
    await expect(tenants.createKey('acme', options)).rejects.toEqual(fault('invalid_value'));
    expect((await tenants.listKeys('acme')).items).toEqual([]);
  });

  it('rotate with an overlap: both work until the old one ends', async () => {
    const { key: old } = await tenants.createKey('acme', { name: 'web', scopes: ['usage'] });
    const made = await tenants.rotateKey(old.id, 60);
    expect(made.key).toMatchObject({ name: 'web', scopes: ['usage'], tenantId: 'acme' });
    expect(made.key.expiresAtMs).toBeUndefined();
    expect(made.old).toMatchObject({ id: old.id, replacedBy: made.key.id });
    const stateOf = async (id: string) => {
      const { found } = await credentials.find([{ kind: 'key', id }]);
      const stored = found[0] instanceof TenantError ? undefined : found[0]?.stored;
      return stored && keyState(stored.key, stored.tenant, clock.wallNow());
    };
    clock.advance(59_999);
    expect([await stateOf(old.id), await stateOf(made.key.id)]).toEqual(['active', 'active']);
    clock.advance(1);
    expect([await stateOf(old.id), await stateOf(made.key.id)]).toEqual(['expired', 'active']);
  });

  it('give a new key the same length of life, and never prolong the old one', async () => {
    const { key: old } = await tenants.createKey('acme', { expiresInS: 100 });
    clock.advance(90_000);
    const { key, old: ending } = await tenants.rotateKey(old.id, 60);
    expect(ending.expiresAtMs).toBe(old.expiresAtMs);
    expect(key.expiresAtMs).toBe(clock.wallNow() + 100_000);
  });

  it('rotate only while they are in force, and once', async () => {
    const { key: rotated } = await tenants.createKey('acme');
    await tenants.rotateKey(rotated.id, 60);
    const { key: revoked } = await tenants.createKey('acme');
    await tenants.revokeKey(revoked.id);
    const { key: expired } = await tenants.createKey('acme', { expiresInS: 1 });
    clock.advance(1_000);
    for (const { id } of [rotated, revoked, expired])
      await expect(tenants.rotateKey(id, 60)).rejects.toEqual(fault('key_not_active'));
    const { key } = await tenants.createKey('acme');
    for (const overlapS of [-1, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(tenants.rotateKey(key.id, overlapS)).rejects.toEqual(fault('invalid_value'));
    await tenants.updateTenant('acme', { disabled: true });
    await expect(tenants.rotateKey(key.id, 60)).rejects.toEqual(fault('tenant_disabled'));
    await expect(tenants.createKey('acme')).rejects.toEqual(fault('tenant_disabled'));
    await expect(tenants.rotateKey('0'.repeat(16), 60)).rejects.toEqual(fault('key_not_found'));
  });

  it('are revoked once: the second time changes nothing, not even the version', async () => {
    const { key } = await tenants.createKey('acme');
    const revoked = await tenants.revokeKey(key.id);
    const version = await tenants.version();
    clock.advance(1_000);
    expect(await tenants.revokeKey(key.id)).toEqual(revoked);
    expect(await tenants.version()).toBe(version);
    await expect(tenants.revokeKey('0'.repeat(16))).rejects.toEqual(fault('key_not_found'));
  });

  it('are bounded: the one dead for longest makes room, a day after its death', async () => {
    const dead = (await tenants.createKey('acme')).key.id;
    await tenants.revokeKey(dead);
    await credentials.touch(dead);
    const raw = JSON.parse((await redis.hget(TENANT_KEYS.keys, dead)) ?? '') as object;
    const { revokedAtMs: _, ...live } = raw as { revokedAtMs: number };
    for (let index = 1; index < KEYS_MAX; index += 1) {
      const id = index.toString(16).padStart(16, '0');
      await redis.hset(TENANT_KEYS.keys, id, JSON.stringify({ ...live, id }));
      await redis.hset(keysOfTenant('acme'), id, '1');
    }
    await expect(tenants.createKey('acme')).rejects.toEqual(fault('too_many_keys'));
    clock.advance(24 * 3_600_000);
    await tenants.createKey('acme');
    const { items } = await tenants.listKeys('acme');
    expect([items.length, items.some(({ id }) => id === dead)]).toEqual([KEYS_MAX, false]);
    expect(await redis.hexists(TENANT_KEYS.used, dead)).toBe(0);
  });

  it('that cannot be read are told by name and open nothing', async () => {
    const { key } = await tenants.createKey('acme');
    await redis.hset(TENANT_KEYS.keys, key.id, '[]');
    expect((await tenants.listKeys('acme')).unreadable).toMatchObject([{ id: key.id }]);
    const { found } = await credentials.find([{ kind: 'key', id: key.id }]);
    expect(found[0]).toEqual(fault('unreadable_record'));
    expect(await tenants.deleteTenant('acme')).toMatchObject({ revokedKeys: 0 });
  });
});

describe('CredentialStore', () => {
  beforeEach(() => tenants.createTenant('acme').then(() => undefined));

  it('finds keys and tokens of one question each in its place', async () => {
    const { key } = await tenants.createKey('acme', { scopes: ['stream', 'tokens'] });
    const minted = await credentials.mint(principal({ keyId: key.id }), { scopes: ['stream'] });
    const ofEnv = await credentials.mint(principal({ tenantId: 'default' }));
    const idOf = (token: string): string => parseCredential(token)?.id ?? '';
    const { version, found } = await credentials.find([
      { kind: 'token', id: idOf(minted.token) },
      { kind: 'key', id: '0'.repeat(16) },
      { kind: 'key', id: key.id },
      { kind: 'token', id: idOf(ofEnv.token) },
      { kind: 'key', id: idOf(minted.token) },
    ]);
    expect(version).toBe(await tenants.version());
    expect(found).toMatchObject([
      { tenantId: 'acme', keyId: key.id, scopes: ['stream'], stored: { tenant: { id: 'acme' } } },
      undefined,
      { tenantId: 'acme', keyId: key.id, scopes: ['stream', 'tokens'] },
      { tenantId: 'default', keyId: 'env', stored: undefined },
      undefined,
    ]);
  });

  it('does not find a token whose key is gone, nor a key whose tenant is', async () => {
    const { key } = await tenants.createKey('acme');
    const { token } = await credentials.mint(principal({ keyId: key.id }));
    const ref = { kind: 'token', id: parseCredential(token)?.id ?? '' } as const;
    await redis.hdel(TENANT_KEYS.tenants, 'acme');
    const refs = [ref, { kind: 'key', id: key.id } as const];
    expect((await credentials.find(refs)).found).toEqual([undefined, undefined]);
    await redis.hdel(TENANT_KEYS.keys, key.id);
    expect((await credentials.find([ref])).found).toEqual([undefined]);
  });

  it('gives a token to Redis with its time to live, of 10 s to an hour', async () => {
    const { token, expiresAtMs } = await credentials.mint(principal(), { ttlS: 10 });
    expect(expiresAtMs).toBe(clock.wallNow() + 10_000);
    const ttlMs = await redis.pttl(`{vf-tenants}:token:${parseCredential(token)?.id}`);
    expect(ttlMs).toBeGreaterThan(9_000);
    expect(ttlMs).toBeLessThanOrEqual(10_000);
    for (const ttlS of [9, 3601, Number.NaN])
      await expect(credentials.mint(principal(), { ttlS })).rejects.toEqual(fault('invalid_value'));
  });

  it.each([[['jobs']], [['stream', 'tokens']], [[]]] as const)(
    'makes no token with the scopes %j: some of its key, never `tokens`',
    async (scopes) => {
      const minted = credentials.mint(principal(), { scopes });
      await expect(minted).rejects.toEqual(fault('invalid_value'));
    },
  );

  it('reads the keys in use in one round trip of three commands', async () => {
    const keys = await Promise.all(['a', 'b'].map((name) => tenants.createKey('acme', { name })));
    const held = keys.map(({ key }) => ({ keyId: key.id, tenantId: 'acme' }));
    await redis.config('RESETSTAT');
    const { found } = await credentials.read([...held, { keyId: 'gone', tenantId: 'acme' }]);
    expect(found).toMatchObject([{ key: { name: 'a' } }, { key: { name: 'b' } }, undefined]);
    const stats = await redis.info('commandstats');
    expect(stats).toMatch(/cmdstat_hmget:calls=2,/);
    expect(stats).toMatch(/cmdstat_get:calls=1,/);
  });
});
