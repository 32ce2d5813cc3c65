import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { TENANT_KEYS } from '@voice-fleet/fleet/tenants/redis-keys';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { runAdmin } from '@voice-fleet/gateway/cli/admin-run';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const CHILD_MS = 20_000;
const SECRET = /^vf_([0-9a-f]{16})_[\w-]{43}$/m;

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url, { onError: () => undefined, commandTimeoutMs: 30_000 });
  await untilReady(redis, AbortSignal.timeout(4_000));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(() => redis.flushall().then(() => undefined));

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One command line in this process. */
async function admin(line: string, url = server.url): Promise<Ran> {
  const said = { stdout: '', stderr: '' };
  const code = await runAdmin(line === '' ? [] : line.split(' '), {
    stdout: (part) => {
      said.stdout += part;
    },
    stderr: (part) => {
      said.stderr += part;
    },
    env: { REDIS_URL: url },
  });
  return { code, ...said };
}

/** One command line as `npm run admin` starts it. */
async function adminProcess(...args: string[]): Promise<Ran> {
  const main = 'services/gateway/src/cli/admin.ts';
  const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', main, ...args], {
    cwd: REPO,
    env: { PATH: process.env['PATH'], REDIS_URL: server.url },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: CHILD_MS,
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code: code as number | null, stdout, stderr };
}

async function newKey(tenant = 'acme', flags = ''): Promise<{ id: string; secret: string }> {
  const { stdout } = await admin(`keys create ${tenant}${flags}`);
  const [secret = '', id = ''] = SECRET.exec(stdout) ?? [];
  return { id, secret };
}

it('runs as a process of its own: a tenant, a key, and what went wrong', async () => {
  const created = await adminProcess('tenants', 'create', 'acme', '--name', 'Acme & Söhne');
  expect(created).toMatchObject({ code: 0, stderr: '' });
  const key = await adminProcess('keys', 'create', 'acme', '--json');
  expect(key.code).toBe(0);
  expect(JSON.parse(key.stdout)).toMatchObject({
    secret: expect.stringMatching(SECRET),
    key: { tenant: 'acme' },
  });
  const usage = await adminProcess('tenants', 'create');
  expect(usage).toMatchObject({ code: 2, stdout: '' });
  const failed = await adminProcess('tenants', 'create', 'acme');
  expect(failed).toEqual({ code: 1, stdout: '', stderr: 'There is a tenant acme already.\n' });
});

describe('tenants', () => {
  it('are created, listed, shown, updated and deleted', async () => {
    expect((await admin('tenants list')).stdout).toContain('No tenants yet');
    await admin('tenants create acme --max-sessions 5 --priority high');
    await admin('tenants create beta --name Beta');
    expect((await admin('tenants list')).stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^ID +STATE +SESSIONS +NEW\/S +MIN\/DAY +WEIGHT +PRIORITY +CREATED +NAME$/,
      ),
      expect.stringMatching(/^acme +active +5 +no limit +no limit +1 +high +\S+ \S+Z$/),
      expect.stringMatching(
        /^beta +active +no limit +no limit +no limit +1 +normal +\S+ \S+Z +Beta$/,
      ),
      '',
    ]);
    await newKey();
    const shown = await admin('tenants show acme');
    expect(shown.stdout).toMatch(/^max_sessions +5$/m);
    expect(shown.stdout).toMatch(/^vf_[0-9a-f]{16}_ +active +stream/m);
    const updated = await admin('tenants update acme --max-sessions 0 --json');
    expect(JSON.parse(updated.stdout).limits).toMatchObject({ max_sessions: 0, priority: 'high' });
    expect((await admin('tenants delete acme')).stdout).toBe(
      'Tenant acme is disabled, 1 of its keys were revoked.\n',
    );
    expect((await admin('tenants list')).stdout).toMatch(/^acme +disabled/m);
  });

  it('with a record that cannot be read are named below the table', async () => {
    await admin('tenants create acme');
    await redis.hset(TENANT_KEYS.tenants, 'broken', '{}');
    const { code, stdout } = await admin('tenants list');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Left out: .*tenant broken.*$/m)]);
    expect(await admin('tenants show broken')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('tenant broken cannot be read'),
    });
  });
});

describe('keys', () => {
  beforeEach(() => admin('tenants create acme').then(() => undefined));

  it('show their secret once, with a line that says so', async () => {
    const { code, stdout } = await admin(
      'keys create acme --name web --scopes stream,tokens --expires-in 90d',
    );
    const [secret = '', id = ''] = SECRET.exec(stdout) ?? [];
    expect(code).toBe(0);
    expect(stdout).toContain(`This is the only time that the secret of key ${id} is shown`);
    const listed = await admin('keys list acme');
    expect(listed.stdout).toMatch(new RegExp(`^vf_${id}_ +active +stream,tokens .* web$`, 'm'));
    for (const out of [listed.stdout, (await admin('keys list acme --json')).stdout])
      expect(out).not.toContain(secret.slice(20));
  });

  it('rotate and say when the old one ends', async () => {
    const { id, secret } = await newKey();
    const { stdout } = await admin(`keys rotate vf_${id}_ --overlap 2h`);
    expect(SECRET.exec(stdout)?.[0]).not.toBe(secret);
    const [, end = ''] = /^The old key ends (\S+ \S+)Z\.$/m.exec(stdout) ?? [];
    const leftMs = Date.parse(`${end.replace(' ', 'T')}:00Z`) - Date.now();
    expect(Math.abs(leftMs - 7_200_000)).toBeLessThan(90_000);
  });

  it('are revoked by their id, their prefix, or as a whole', async () => {
    for (const word of [({ id }) => id, ({ id }) => `vf_${id}_`, ({ secret }) => secret] as ((
      key: Awaited<ReturnType<typeof newKey>>,
    ) => string)[]) {
      const key = await newKey();
      expect(await admin(`keys revoke ${word(key)}`)).toMatchObject({
        code: 0,
        stdout: `Key ${key.id} is revoked.\n`,
      });
    }
    const states = (await new TenantStore(redis).listKeys('acme')).items;
    expect(states.every(({ revokedAtMs }) => revokedAtMs !== undefined)).toBe(true);
  });
});

describe('command line', () => {
  it.each([
    [''],
    ['tenants'],
    ['tenants explode'],
    ['keys create'],
    ['keys create a b'],
    ['keys revoke nothex'],
    ['tenants update acme'],
    ['tenants list --colour'],
    ['tenants create acme --max-sessions x'],
  ])('%j is wrong usage: 2, and says where help is', async (line) => {
    const { code, stdout, stderr } = await admin(line);
    expect(code).toBe(2);
    expect(stdout + stderr).toContain('--help');
    expect(await redis.keys('*')).toEqual([]);
  });

  it.each([['--help'], ['tenants --help'], ['keys create --help'], ['keys create acme -h']])(
    '%j explains',
    async (line) => {
      expect(await admin(line)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('npm run admin --'),
        stderr: '',
      });
    },
  );

  it.each([
    ['keys create nobody', 'There is no tenant nobody.'],
    ['keys revoke 0123456789abcdef', 'There is no key 0123456789abcdef.'],
    ['tenants create default', 'Tenant default is that of VOXTRAL_API_KEY.'],
    ['tenants create Acme', 'Id: use a-z'],
  ])('%s fails with 1 and says why', async (line, reason) => {
    const { code, stdout, stderr } = await admin(line);
    expect([code, stdout, stderr]).toEqual([1, '', expect.stringContaining(reason)]);
    const json = JSON.parse((await admin(`${line} --json`)).stdout);
    expect(json).toEqual({ ok: false, error: expect.stringContaining(reason) });
  });

  it('says which Redis does not answer, without its password', async () => {
    const away = await admin('tenants list', 'redis://someone:hidden@127.0.0.1:1');
    expect(away.code).toBe(1);
    expect(away.stderr).toContain('Redis at redis://127.0.0.1:1 cannot be used');
    expect(away.stderr).not.toContain('hidden');
    expect(await admin('tenants list', 'http://x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('REDIS_URL'),
    });
  });
});
