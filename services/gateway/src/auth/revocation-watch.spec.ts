import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { type Principal, Tenant, TenantLimits } from '@voice-fleet/fleet/tenant';
import type { StoredKey } from '@voice-fleet/fleet/tenants/credential-store';
import { KeyRecord } from '@voice-fleet/fleet/tenants/records';
import { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type KeyChange, RevocationWatch } from './revocation-watch.ts';

const [A, B] = ['a'.repeat(16), 'b'.repeat(16)];
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function keyOf(id: string, fields: Partial<KeyRecord> = {}, tenantFields: object = {}): StoredKey {
  const record = { id, tenantId: 'acme', scopes: ['stream'], hash: '0'.repeat(64), createdAtMs: 1 };
  return {
    key: KeyRecord.parse({ ...record, ...fields }),
    tenant: Tenant.parse({ id: 'acme', limits: {}, createdAtMs: 1, ...tenantFields }),
  };
}

describe('RevocationWatch', () => {
  let clock: FakeClock;
  let watch: RevocationWatch;
  let version: string;
  let away: boolean;
  let readsFail: boolean;
  let stored: Map<string, StoredKey | TenantError>;
  let reads: string[][];
  let heard: [string, KeyChange][];
  let logged: string;

  const principal = (keyId = A): Principal => ({
    tenantId: 'acme',
    keyId,
    scopes: ['stream'],
    limits: TenantLimits.parse({}),
  });
  const session = (name: string, keyId = A): (() => void) =>
    watch.watch(principal(keyId), (change) => heard.push([name, change]));
  const poll = async (): Promise<void> => {
    clock.advance(500);
    await turn();
  };
  const change = (keyId: string, to: StoredKey | TenantError | undefined): void => {
    version = String(Number(version) + 1);
    if (to === undefined) stored.delete(keyId);
    else stored.set(keyId, to);
  };

  beforeEach(async () => {
    clock = new FakeClock();
    [version, away, readsFail, reads, heard, logged] = ['7', false, false, [], [], ''];
    stored = new Map([
      [A, keyOf(A)],
      [B, keyOf(B)],
    ]);
    const gone = (): Promise<never> => Promise.reject(new RedisUnavailable(new Error('gone')));
    watch = new RevocationWatch({
      clock,
      log: createLogger('test', 'trace', {
        write: (line: string) => {
          logged += line;
        },
      }),
      store: {
        version: () => (away ? gone() : Promise.resolve(version)),
        read: (keys) => {
          if (away || readsFail) return gone();
          reads.push(keys.map(({ keyId }) => keyId));
          return Promise.resolve({ version, found: keys.map(({ keyId }) => stored.get(keyId)) });
        },
      },
    });
    watch.start();
    await turn();
  });

  it('tells each session of a revoked key once, and no other', async () => {
    session('one');
    session('two');
    session('other', B);
    await poll();
    change(A, keyOf(A, { revokedAtMs: 1 }));
    await poll();
    await poll();
    expect(heard).toEqual([
      ['one', { kind: 'revoked' }],
      ['two', { kind: 'revoked' }],
    ]);
  });

  it.each([
    ['a disabled tenant', {}, { disabled: true }],
    ['an expired key', { expiresAtMs: 1 }, {}],
  ])('ends sessions of %s', async (_, key, tenant) => {
    session('one');
    await poll();
    change(A, keyOf(A, key, tenant));
    await poll();
    expect(heard).toEqual([['one', { kind: 'revoked' }]]);
  });

  it('ends sessions when a key expires, without any change in Redis or Redis itself', async () => {
    stored.set(A, keyOf(A, { expiresAtMs: clock.wallNow() + 3_000 }));
    session('one');
    await poll();
    away = true;
    for (let polls = 0; polls < 4; polls += 1) await poll();
    expect(heard).toEqual([]);
    await poll();
    expect(heard).toEqual([['one', { kind: 'revoked' }]]);
  });

  it('tells new limits, once for each change and to each who has others', async () => {
    session('one');
    await poll();
    change(A, keyOf(A, {}, { limits: { maxSessions: 2 } }));
    await poll();
    await poll();
    const limits = TenantLimits.parse({ maxSessions: 2 });
    expect(heard).toEqual([['one', { kind: 'limits', limits }]]);
  });

  it('tells what changed between the look at the key and the watch', async () => {
    change(A, keyOf(A, { revokedAtMs: 1 }));
    await poll();
    session('late');
    await poll();
    expect(heard).toEqual([['late', { kind: 'revoked' }]]);
  });

  it('ends no session because a key is missing or cannot be read', async () => {
    session('one');
    session('two', B);
    await poll();
    change(A, undefined);
    change(B, new TenantError('unreadable_record', 'the record of key b cannot be read'));
    await poll();
    expect(heard).toEqual([]);
    expect(logged).toContain('the record of key b cannot be read');
  });

  it('ends none while Redis is away, and hears all when it is back', async () => {
    session('one');
    await poll();
    away = true;
    change(A, keyOf(A, { revokedAtMs: 1 }));
    await poll();
    expect([watch.away, watch.version, heard]).toEqual([true, '7', []]);
    away = false;
    await poll();
    expect([watch.away, watch.version]).toEqual([false, '8']);
    expect(heard).toEqual([['one', { kind: 'revoked' }]]);
  });

  it('reads keys in one go, and only after a change or for a new session', async () => {
    session('one');
    session('two');
    session('three', B);
    await poll();
    await poll();
    change(A, keyOf(A));
    await poll();
    session('four', B);
    await poll();
    await poll();
    expect(reads).toEqual([[A, B], [A, B], [B]]);
  });

  it('reads again what it could not read', async () => {
    session('one');
    stored.set(A, keyOf(A, { revokedAtMs: 1 }));
    readsFail = true;
    await poll();
    expect(watch.away).toBe(true);
    readsFail = false;
    await poll();
    expect(heard).toEqual([['one', { kind: 'revoked' }]]);
  });

  it('forgets a session that ended, and a key without sessions', async () => {
    const endOne = session('one');
    const endTwo = session('two');
    await poll();
    endOne();
    endOne();
    change(A, keyOf(A, { revokedAtMs: 1 }));
    await poll();
    expect(heard).toEqual([['two', { kind: 'revoked' }]]);
    endTwo();
    reads.length = 0;
    change(A, keyOf(A));
    await poll();
    expect(reads).toEqual([]);
  });

  it('keeps the others informed when one session fails', async () => {
    watch.watch(principal(), () => {
      throw new Error('broken');
    });
    session('two');
    await poll();
    change(A, keyOf(A, { revokedAtMs: 1 }));
    await poll();
    expect(heard).toEqual([['two', { kind: 'revoked' }]]);
    expect(logged).toContain('broken');
  });

  it('has nothing to watch for the key of the environment', async () => {
    session('one', 'env')();
    session('two', 'env');
    await poll();
    expect(reads).toEqual([]);
  });

  it('asks nothing more after stop', async () => {
    await watch.stop();
    expect(clock.pending).toBe(0);
  });
});
