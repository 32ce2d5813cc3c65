import type { Redis } from 'ioredis';
import { redisFault } from '../redis.ts';
import { TENANT_KEYS } from './redis-keys.ts';
import { TenantError } from './tenant-error.ts';

/** One field of a hash; `undefined` removes it. */
export interface HashWrite {
  readonly hash: string;
  readonly field: string;
  readonly value: string | undefined;
}

/** What a change has read and wants to write. */
export interface Change<T> {
  readonly writes: readonly HashWrite[];
  readonly result: T;
}

/**
 * Writes if nothing has changed since `version` was read. The version is Redis' own time in microseconds, or one more than
 * before, so that a Redis that lost it does not come back to a value that gateways hold already.
 *
 * KEYS    1 version · 2… hashes, one for each write
 * ARGV    1 the version read, '0' for none · then for each write: field, '1' to set or '0' to remove, value
 * result  1 | 0 when somebody was faster
 *
 * Here and not under lua/, whose scripts all take the keys of a fleet.
 */
const COMMIT = `
local version = redis.call('GET', KEYS[1]) or '0'
if version ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 3
  if ARGV[at + 1] == '1' then redis.call('HSET', KEYS[i], ARGV[at], ARGV[at + 2])
  else redis.call('HDEL', KEYS[i], ARGV[at]) end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('SET', KEYS[1], string.format('%.0f', math.max(tonumber(version) + 1, now)))
return 1
`;

/** Each attempt fails only because another change succeeded. */
const ATTEMPTS = 50;

/** Runs `attempt` until what it read still holds as it is written. Throws what it throws, TenantError `busy`, or RedisUnavailable. */
export async function changeTenants<T>(
  redis: Redis,
  attempt: () => Promise<Change<T>>,
): Promise<T> {
  for (let tries = 0; tries < ATTEMPTS; tries += 1) {
    const version = await tenantVersion(redis);
    const { writes, result } = await attempt();
    if (writes.length === 0) return result;
    const keys = [TENANT_KEYS.version, ...writes.map(({ hash }) => hash)];
    const fields = writes.flatMap(({ field, value }) => [
      field,
      value === undefined ? '0' : '1',
      value ?? '',
    ]);
    const done = await redis.eval(COMMIT, keys.length, ...keys, version, ...fields).catch(fault);
    if (done === 1) return result;
  }
  throw new TenantError('busy', 'tenants are being changed by many at once; try again');
}

/** '0' when nothing was ever changed, as in a Redis that came back empty. */
export async function tenantVersion(redis: Redis): Promise<string> {
  return (await redis.get(TENANT_KEYS.version).catch(fault)) ?? '0';
}

/** For `catch`: RedisUnavailable, unless Redis understood the command and refused it. */
export function fault(error: unknown): never {
  throw redisFault(error);
}
