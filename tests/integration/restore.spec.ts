import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { startRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';
import { until } from '../support/until.ts';

/** What docs/operations/restore.md says of files of Redis, on a real one. */
describe('a snapshot of Redis', () => {
  const TENANT = 'acme';
  let folder: string;
  let kept: unknown;
  const open: AsyncDisposable[] = [];

  const facts = async (redis: Redis): Promise<unknown> => {
    const store = new TenantStore(redis);
    return {
      tenants: (await store.listTenants()).items,
      keys: (await store.listKeys(TENANT)).items,
      usage: (await new UsageLedger(redis).today(TENANT)).samplesToday,
    };
  };

  /** A server in a folder of its own, which may have files already. */
  const serve = async (name: string, appendonly: 'yes' | 'no') => {
    const server = await startRedis({ dir: join(folder, name), appendonly });
    const redis = connectRedis(server.url, { onError: () => undefined });
    await untilReady(redis, AbortSignal.timeout(60_000));
    const stop = async (): Promise<void> => {
      redis.disconnect();
      await server.stop();
    };
    open.push({ [Symbol.asyncDispose]: stop });
    return { server, redis, stop };
  };

  const withSnapshot = async (name: string): Promise<void> => {
    await mkdir(join(folder, name));
    await copyFile(join(folder, 'first/dump.rdb'), join(folder, name, 'dump.rdb'));
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vf-restore-'));
    await mkdir(join(folder, 'first'));
    const { redis } = await serve('first', 'yes');
    const store = new TenantStore(redis);
    await store.createTenant(TENANT, {});
    await store.createKey(TENANT, { scopes: ['stream'] });
    await new UsageLedger(redis).charge([
      { sessionId: 'sess_1', tenantId: TENANT, keyId: 'k', acceptedSamples: 16_000 },
    ]);
    kept = await facts(redis);
    await redis.save();
  });

  afterAll(async () => {
    for (const one of open) await one[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it('is not read by a server with an append-only file', async () => {
    await withSnapshot('trap');
    const { redis } = await serve('trap', 'yes');
    expect(await redis.dbsize()).toBe(0);
  });

  it('is read without one, which can be switched on then, and is there after the next start', async () => {
    await withSnapshot('second');
    const { redis, stop } = await serve('second', 'no');
    expect(await facts(redis)).toEqual(kept);
    await redis.config('SET', 'appendonly', 'yes');
    await until(async () => {
      const told = await redis.info('persistence');
      return told.includes('aof_rewrite_in_progress:0') && told.includes('aof_rewrite_scheduled:0');
    }, 'the append-only file is written');
    await stop();
    await rm(join(folder, 'second/dump.rdb'));
    expect(await facts((await serve('second', 'yes')).redis)).toEqual(kept);
  });

  it('gives tenants and keys alone to a Redis that runs', async () => {
    await withSnapshot('third');
    const { redis } = await serve('third', 'no');
    await mkdir(join(folder, 'running'));
    const target = await serve('running', 'yes');
    const keys = await redis.keys('{vf-tenants}:*');
    await redis.migrate(
      '127.0.0.1',
      target.server.port,
      '',
      0,
      5_000,
      'COPY',
      'REPLACE',
      'KEYS',
      ...keys,
    );
    expect(await facts(target.redis)).toEqual({ ...(kept as object), usage: 0 });
  });
});
