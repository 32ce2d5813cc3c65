import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { untilReady } from '@voice-fleet/fleet/redis';
import type { Scope } from '@voice-fleet/fleet/tenant';
import {
  formatCredential,
  newCredential,
  parseCredential,
} from '@voice-fleet/fleet/tenants/credential';
import type { NewKey } from '@voice-fleet/fleet/tenants/tenant-store';
import type { KeyChange } from '@voice-fleet/gateway/auth/revocation-watch';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import { AdminApp, type Answer, ENV_KEY } from './admin.fixture.ts';

let server: TestRedis;
let app: AdminApp;
let key: NewKey;

beforeAll(async () => {
  server = await startRedis();
  app = await AdminApp.start(server.url);
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await server.stop();
});
beforeEach(async () => {
  await app.redis.flushall();
  await app.tenants.createTenant('acme', { limits: { maxSessions: 3 } });
  await app.tenants.createTenant('rival');
  key = await app.tenants.createKey('acme', { scopes: ['stream', 'usage', 'tokens'] });
});

const mint = (credential: string, body?: unknown): Promise<Answer> =>
  app.call('POST', '/v1/tokens', body, { 'x-api-key': credential });

/** Tenant of a credential, or the code of its refusal. */
async function outcome(credential: string, scope: Scope = 'stream'): Promise<string> {
  try {
    return (await app.authenticator.authenticate(credential, scope)).tenantId;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Waits until `condition` holds and returns how long that took. */
async function untilMs(condition: () => boolean | Promise<boolean>): Promise<number> {
  const took = stopwatch();
  await until(condition, 'it holds');
  return took();
}

async function callsOf(...commands: string[]): Promise<number> {
  const stats = await app.redis.info('commandstats');
  const calls = (name: string): number =>
    Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  return commands.map(calls).reduce((sum, count) => sum + count, 0);
}

describe('POST /v1/tokens', () => {
  it('makes a token of the tenant for a minute and one scope', async () => {
    const answer = await mint(key.secret);
    expect(answer).toMatchObject({
      status: 201,
      body: { token: expect.stringMatching(/^vft_[0-9a-f]{16}_[\w-]{43}$/), scopes: ['stream'] },
    });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const lifeMs = Date.parse(answer.body.expires_at) - Date.now();
    expect(lifeMs).toBeGreaterThan(55_000);
    expect(lifeMs).toBeLessThanOrEqual(60_000);
    expect(await app.authenticator.authenticate(answer.body.token, 'stream')).toMatchObject({
      tenantId: 'acme',
      keyId: key.key.id,
      scopes: ['stream'],
      limits: { maxSessions: 3 },
    });
    expect(await outcome(answer.body.token, 'usage')).toBe('scope_missing');
  });

  it('takes the key as Bearer too, and that of the environment', async () => {
    const bearer = { authorization: `Bearer ${key.secret}` };
    expect((await app.call('POST', '/v1/tokens', {}, bearer)).status).toBe(201);
    const ofEnv = await mint(ENV_KEY, { ttl_s: 10, scopes: ['usage'] });
    expect(await outcome(ofEnv.body.token, 'usage')).toBe('default');
  });

  it('gives no token a way to more tokens', async () => {
    const { token } = (await mint(key.secret, { scopes: ['stream', 'usage'] })).body;
    const again = await mint(token);
    expect([again.status, again.body.error]).toMatchObject([
      403,
      { code: 'scope_missing', details: { scope: 'tokens' } },
    ]);
    const wider = await mint(key.secret, { scopes: ['tokens'] });
    expect([wider.status, wider.body.error.code]).toEqual([400, 'invalid_value']);
  });

  it.each([
    [{ ttl_s: 9 }, 'ttl_s'],
    [{ ttl_s: 3601 }, 'ttl_s'],
    [{ scopes: [] }, 'scopes'],
    [{ scopes: ['root'] }, 'scopes.0'],
    [{ tenant: 'rival' }, 'body'],
  ])('refuses %j and names the field', async (body, field) => {
    const answer = await mint(key.secret, body);
    expect([answer.status, Object.keys(answer.body.error.details)]).toEqual([400, [field]]);
  });

  it('refuses scopes that the key lacks, wrong keys and keys without the scope', async () => {
    expect((await mint(key.secret, { scopes: ['jobs'] })).status).toBe(400);
    for (const wrong of ['', 'x', formatCredential(newCredential('key'))])
      expect((await mint(wrong)).status).toBe(401);
    const plain = await app.tenants.createKey('rival');
    expect((await mint(plain.secret)).status).toBe(403);
  });
});

describe('a credential', () => {
  it('has no luck with the secret of another, of whatever kind or tenant', async () => {
    const rival = await app.tenants.createKey('rival');
    const { token } = (await mint(key.secret)).body;
    const [mine, theirs, minted] = [key.secret, rival.secret, token].map(parseCredential);
    if (!mine || !theirs || !minted) throw new Error('not written like credentials');
    for (const forged of [
      { ...mine, secret: theirs.secret },
      { ...minted, secret: mine.secret },
      { ...minted, kind: 'key' as const },
      { ...mine, kind: 'token' as const },
    ])
      expect(await outcome(formatCredential(forged))).toBe('authentication_failed');
  });

  it('dies with the key that made it, within two seconds', async () => {
    const { token } = (await mint(key.secret)).body;
    expect(await outcome(token)).toBe('acme');
    await app.tenants.revokeKey(key.key.id);
    const tookMs = await untilMs(async () => (await outcome(token)) === 'key_revoked');
    expect(tookMs).toBeLessThan(2_000);
    expect(await outcome(key.secret)).toBe('key_revoked');
  });

  it('is noted as used', async () => {
    await outcome(key.secret);
    await untilMs(async () => {
      const [listed] = (await app.tenants.listKeys('acme')).items;
      return Date.now() - (listed?.lastUsedAtMs ?? 0) < 5_000;
    });
  });

  it('of old makes room for the new one when its overlap is over', async () => {
    const { secret } = await app.tenants.rotateKey(key.key.id, 0.3);
    expect([await outcome(key.secret), await outcome(secret)]).toEqual(['acme', 'acme']);
    await untilMs(async () => (await outcome(key.secret)) === 'key_revoked');
    expect(await outcome(secret)).toBe('acme');
  });
});

describe('a session', () => {
  const heard: KeyChange[] = [];
  const open = async (credential: string): Promise<() => void> => {
    heard.length = 0;
    const principal = await app.authenticator.authenticate(credential, 'stream');
    return app.watch.watch(principal, (change) => heard.push(change));
  };

  it.each([
    ['its key is revoked', () => app.tenants.revokeKey(key.key.id)],
    ['its tenant is disabled', () => app.tenants.updateTenant('acme', { disabled: true })],
    ['its tenant is deleted', () => app.tenants.deleteTenant('acme')],
    ['its key was rotated and is over', () => app.tenants.rotateKey(key.key.id, 0.1)],
  ])('hears within two seconds that %s', async (_, change: () => Promise<unknown>) => {
    const { token } = (await mint(key.secret)).body;
    const end = await open(token);
    await change();
    expect(await untilMs(() => heard.length > 0)).toBeLessThan(2_000);
    expect(heard).toEqual([{ kind: 'revoked' }]);
    end();
  });

  it('hears new limits within two seconds', async () => {
    const end = await open(key.secret);
    await app.tenants.updateTenant('acme', { limits: { maxSessions: 1 } });
    expect(await untilMs(() => heard.length > 0)).toBeLessThan(2_000);
    expect(heard).toMatchObject([{ kind: 'limits', limits: { maxSessions: 1 } }]);
    end();
  });

  it('goes on when Redis comes back empty, while new ones are not let in', async () => {
    const end = await open(key.secret);
    await server.restart();
    await untilReady(app.redis, AbortSignal.timeout(4_000));
    await untilMs(async () => (await outcome(key.secret)) === 'authentication_failed');
    expect([heard, app.watch.version]).toEqual([[], '0']);
    end();
  });
});

describe('a flood of 10 000 wrong keys', () => {
  const ASKING = ['get', 'hget', 'hmget', 'mget', 'eval', 'evalsha', 'hset', 'set'];

  it('costs Redis less than a hundred commands, and a right key is still let in', async () => {
    const flood = Array.from({ length: 10_000 }, (_, index) =>
      formatCredential(newCredential(index % 2 === 0 ? 'key' : 'token')),
    );
    await app.redis.config('RESETSTAT');
    const answers = flood.slice(0, 5_000).map((credential) => outcome(credential));
    const right = outcome(key.secret);
    answers.push(...flood.slice(5_000, 9_000).map((credential) => outcome(credential)));
    expect(await right).toBe('acme');
    answers.push(...flood.slice(9_000).map((credential) => outcome(credential)));
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['authentication_failed']));
    expect(await callsOf(...ASKING)).toBeLessThan(100);
  });

  it('that repeats itself costs two or three, and one that is not written like a key none', async () => {
    const wrong = formatCredential(newCredential('key'));
    await app.redis.config('RESETSTAT');
    for (let count = 0; count < 5_000; count += 1) {
      await outcome(wrong);
      await outcome(`${wrong}${count}`);
    }
    // Beside the version asked for twice a second.
    expect(await callsOf(...ASKING)).toBeLessThan(10);
  });
});
