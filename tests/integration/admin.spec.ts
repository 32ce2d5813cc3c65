import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { TENANT_KEYS } from '@voice-fleet/fleet/tenants/redis-keys';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { ADMIN_KEY, AdminApp, ENV_KEY } from './admin.fixture.ts';

let server: TestRedis;
let app: AdminApp;

beforeAll(async () => {
  server = await startRedis();
  app = await AdminApp.start(server.url);
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await server.stop();
});
beforeEach(() => app.redis.flushall().then(() => undefined));

const ADMIN = '/admin/v1';
const call: AdminApp['call'] = (...args) => app.call(...args);

describe('admin API', () => {
  it('takes a tenant through its life', async () => {
    const limits = { max_sessions: 5, audio_minutes_per_day: 60, priority: 'high' };
    const created = await call('POST', `${ADMIN}/tenants`, { id: 'acme', name: 'Acme', limits });
    expect(created).toMatchObject({
      status: 201,
      body: {
        id: 'acme',
        name: 'Acme',
        disabled: false,
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        limits: {
          max_sessions: 5,
          sessions_per_second: 0,
          audio_minutes_per_day: 60,
          max_session_s: 0,
          messages_per_minute: 0,
          cancels_per_minute: 0,
          weight: 1,
          priority: 'high',
        },
      },
    });
    expect(created.headers.get('cache-control')).toBe('no-store');
    expect((await call('GET', `${ADMIN}/tenants/acme`)).body).toEqual(created.body);
    const patched = await call('PATCH', `${ADMIN}/tenants/acme`, { limits: { max_sessions: 6 } });
    expect(patched.body.limits).toEqual({ ...created.body.limits, max_sessions: 6 });
    expect((await call('GET', `${ADMIN}/tenants`)).body).toEqual({ tenants: [patched.body] });
    await call('POST', `${ADMIN}/tenants/acme/keys`);
    expect(await call('DELETE', `${ADMIN}/tenants/acme`)).toMatchObject({
      status: 200,
      body: { id: 'acme', disabled: true, revoked_keys: 1 },
    });
  });

  it('takes a key through its life, and shows its secret once', async () => {
    await call('POST', `${ADMIN}/tenants`, { id: 'acme' });
    const options = { name: 'web', scopes: ['stream', 'tokens'], expires_in_s: 3600 };
    const made = await call('POST', `${ADMIN}/tenants/acme/keys`, options);
    expect(made).toMatchObject({
      status: 201,
      body: {
        secret: expect.stringMatching(/^vf_[0-9a-f]{16}_[\w-]{43}$/),
        key: { tenant: 'acme', name: 'web', scopes: ['stream', 'tokens'] },
      },
    });
    const { key, secret } = made.body;
    expect(secret.startsWith(key.prefix)).toBe(true);
    expect(Date.parse(key.expires_at) - Date.parse(key.created_at)).toBe(3_600_000);
    expect((await call('GET', `${ADMIN}/tenants/acme/keys`)).body).toEqual({ keys: [key] });

    const rotated = await call('POST', `${ADMIN}/keys/${key.id}/rotate`, { overlap_s: 60 });
    expect(rotated).toMatchObject({
      status: 201,
      body: { key: { name: 'web' }, old: { id: key.id, replaced_by: rotated.body.key.id } },
    });
    expect(rotated.body.secret).not.toBe(secret);
    const revoked = await call('DELETE', `${ADMIN}/keys/${key.id}`);
    expect(revoked).toMatchObject({ status: 200, body: { revoked_at: expect.any(String) } });
    const listed = JSON.stringify((await call('GET', `${ADMIN}/tenants/acme/keys`)).body);
    for (const shown of [secret, rotated.body.secret])
      expect(listed).not.toContain(shown.slice(20));
  });

  it.each([
    ['POST', '/tenants', { id: 'Bad Id' }, 400, 'invalid_message', 'id'],
    ['POST', '/tenants', {}, 400, 'invalid_message', 'id'],
    ['POST', '/tenants', [], 400, 'invalid_message', 'body'],
    ['POST', '/tenants', { id: 'b', color: 'red' }, 400, 'invalid_message', 'body'],
    [
      'POST',
      '/tenants',
      { id: 'b', limits: { weight: 0 } },
      400,
      'invalid_message',
      'limits.weight',
    ],
    ['POST', '/tenants', { id: 'b', limits: { maxSessions: 1 } }, 400, 'invalid_message', 'limits'],
    ['POST', '/tenants', '{"id":', 400, 'invalid_message', ''],
    ['POST', '/tenants', { id: 'b', name: 'x'.repeat(65_536) }, 413, 'message_too_large', ''],
    ['POST', '/tenants', { id: 'acme' }, 409, 'tenant_exists', ''],
    ['POST', '/tenants', { id: 'default' }, 409, 'tenant_reserved', ''],
    ['GET', '/tenants/nobody', undefined, 404, 'tenant_not_found', ''],
    [
      'PATCH',
      '/tenants/acme',
      { limits: { max_sessions: 1.5 } },
      400,
      'invalid_message',
      'limits.max_sessions',
    ],
    ['POST', '/tenants/nobody/keys', {}, 404, 'tenant_not_found', ''],
    ['POST', '/tenants/acme/keys', { scopes: ['root'] }, 400, 'invalid_message', 'scopes.0'],
    ['POST', '/tenants/acme/keys', { expires_in_s: -1 }, 400, 'invalid_message', 'expires_in_s'],
    ['POST', '/keys/nokey/rotate', {}, 404, 'key_not_found', ''],
    ['POST', '/keys/nokey/rotate', { overlap_s: 'x' }, 400, 'invalid_message', 'overlap_s'],
    ['DELETE', '/keys/nokey', undefined, 404, 'key_not_found', ''],
    ['GET', '/nothing', undefined, 404, 'not_found', ''],
  ] as const)(
    'answers %s %s with %.60j by %d %s',
    async (method, path, body, status, code, field) => {
      await call('POST', `${ADMIN}/tenants`, { id: 'acme' });
      const answer = await call(method, `${ADMIN}${path}`, body);
      expect(answer).toMatchObject({
        status,
        body: { error: { code, message: expect.any(String) } },
      });
      expect(Object.keys(answer.body.error)).toEqual(['code', 'message', 'details']);
      expect(Object.keys(answer.body.error.details)).toEqual(field === '' ? [] : [field]);
    },
  );

  it('reads JSON whatever the body is said to be, as curl says it is a form', async () => {
    await call('POST', `${ADMIN}/tenants`, { id: 'acme' });
    const headers = {
      'x-api-key': ADMIN_KEY,
      'content-type': 'application/x-www-form-urlencoded',
    };
    const answer = await app.call('PATCH', `${ADMIN}/tenants/acme`, { disabled: true }, headers);
    expect(answer).toMatchObject({ status: 200, body: { disabled: true } });
  });

  it('opens for its own key alone, in either header', async () => {
    for (const headers of [
      {},
      { 'x-api-key': 'wrong' },
      { 'x-api-key': ENV_KEY },
      { authorization: `Basic ${ADMIN_KEY}` },
    ] as Record<string, string>[]) {
      const answer = await app.call('POST', `${ADMIN}/tenants`, { id: 'acme' }, headers);
      expect([answer.status, answer.body.error.code]).toEqual([401, 'authentication_failed']);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    expect(await app.redis.exists(TENANT_KEYS.tenants)).toBe(0);
    const bearer = { authorization: `Bearer ${ADMIN_KEY}` };
    expect((await app.call('GET', `${ADMIN}/tenants`, undefined, bearer)).status).toBe(200);
  });

  it('is not there without a key of its own, the empty key included', async () => {
    await using closed = await AdminApp.start(server.url, '');
    for (const headers of [{}, { 'x-api-key': '' }, { 'x-api-key': ADMIN_KEY }] as Record<
      string,
      string
    >[]) {
      const answer = await closed.call('GET', `${ADMIN}/tenants`, undefined, headers);
      expect([answer.status, answer.body.error.code]).toEqual([404, 'not_found']);
    }
  });

  it('tells of records that cannot be read, and logs them', async () => {
    await app.redis.hset(TENANT_KEYS.tenants, 'broken', 'no JSON');
    expect((await call('GET', `${ADMIN}/tenants`)).body).toEqual({
      tenants: [],
      unreadable: [{ id: 'broken', reason: expect.stringContaining('tenant broken') }],
    });
    expect(await call('GET', `${ADMIN}/tenants/broken`)).toMatchObject({
      status: 500,
      body: { error: { code: 'unreadable_record' } },
    });
    expect(app.log).toContain('the record of tenant broken cannot be read');
  });

  it('says "later" while Redis hangs', async () => {
    server.freeze();
    const answer = await call('GET', `${ADMIN}/tenants`);
    server.thaw();
    expect([answer.status, answer.body.error.code]).toEqual([503, 'fleet_unavailable']);
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});
