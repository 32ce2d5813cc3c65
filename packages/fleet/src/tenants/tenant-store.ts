import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import type { Redis } from 'ioredis';
import type { z } from 'zod';
import { DEFAULT_TENANT, type Scope, Tenant, type TenantLimits } from '../tenant.ts';
import { formatCredential, newCredential, secretDigest } from './credential.ts';
import { type KeyInfo, KeyRecord, keyState, readRecord } from './records.ts';
import { keysOfTenant, TENANT_KEYS } from './redis-keys.ts';
import { changeTenants, fault, type HashWrite, tenantVersion } from './tenant-changes.ts';
import { TenantError } from './tenant-error.ts';

export interface TenantFields {
  readonly name?: string;
  /** Those left out stay as they are, or at their defaults. */
  readonly limits?: Partial<TenantLimits>;
  /** Added to those there are; null takes a name away. */
  readonly aliases?: Readonly<Record<string, string | null>>;
  readonly models?: readonly string[];
  readonly disabled?: boolean;
}

export interface KeyOptions {
  readonly name?: string;
  /** Default: `stream`. */
  readonly scopes?: readonly Scope[];
  /** Default: the key does not expire. */
  readonly expiresInS?: number;
}

export interface NewKey {
  readonly key: KeyInfo;
  /** `vf_<id>_<secret>`; stored nowhere, so it cannot be shown again. */
  readonly secret: string;
}

/** What could be read, in order, and why the rest could not. */
export interface Listed<T> {
  readonly items: readonly T[];
  readonly unreadable: readonly { readonly id: string; readonly reason: string }[];
}

/** A list of all stays one quick reply of Redis. */
export const TENANTS_MAX = 10_000;
/** Of one tenant, dead ones included. Beyond, those dead for longest make room. */
export const KEYS_MAX = 256;
/** A dead key is kept this long at least, for its sessions to learn of its end. */
const DEAD_KEY_KEPT_MS = 24 * 3_600_000;

/** Tenants and their keys, as operators see and change them. Throws TenantError, and RedisUnavailable. */
export class TenantStore {
  readonly #redis: Redis;
  readonly #clock: Pick<Clock, 'wallNow'>;

  constructor(redis: Redis, clock: Pick<Clock, 'wallNow'> = systemClock) {
    this.#redis = redis;
    this.#clock = clock;
  }

  /** Changes with each change of a tenant or key. */
  version(): Promise<string> {
    return tenantVersion(this.#redis);
  }

  createTenant(id: string, fields: TenantFields = {}): Promise<Tenant> {
    return changeTenants(this.#redis, async () => {
      if (id === DEFAULT_TENANT)
        throw new TenantError('tenant_reserved', `tenant ${id} is that of VOXTRAL_API_KEY`);
      const [held, count] = await Promise.all([
        this.#redis.hexists(TENANT_KEYS.tenants, id),
        this.#redis.hlen(TENANT_KEYS.tenants),
      ]).catch(fault);
      if (held) throw new TenantError('tenant_exists', `there is a tenant ${id} already`);
      if (count >= TENANTS_MAX)
        throw new TenantError('too_many_tenants', `there are ${count} tenants, which is the most`);
      const limits = defined(fields.limits);
      const aliases = kept({}, fields.aliases);
      const createdAtMs = this.#nowMs();
      const tenant = valid(Tenant, { ...fields, id, limits, aliases, createdAtMs });
      return { writes: [writeTenant(tenant)], result: tenant };
    });
  }

  async getTenant(id: string): Promise<Tenant> {
    const raw = await this.#redis.hget(TENANT_KEYS.tenants, id).catch(fault);
    if (raw === null) throw new TenantError('tenant_not_found', `there is no tenant ${id}`);
    return readRecord(Tenant, raw, `tenant ${id}`);
  }

  async listTenants(): Promise<Listed<Tenant>> {
    const records = await this.#redis.hgetall(TENANT_KEYS.tenants).catch(fault);
    return list(records, (id, raw) => readRecord(Tenant, raw, `tenant ${id}`));
  }

  updateTenant(id: string, fields: TenantFields): Promise<Tenant> {
    return changeTenants(this.#redis, async () => {
      const held = await this.getTenant(id);
      const limits = { ...held.limits, ...defined(fields.limits) };
      const aliases = kept(held.aliases, fields.aliases);
      const tenant = valid(Tenant, { ...held, ...defined(fields), limits, aliases });
      return { writes: [writeTenant(tenant)], result: tenant };
    });
  }

  /** Disables the tenant and revokes its keys for good. Its record stays, so that its usage keeps a name. */
  deleteTenant(id: string): Promise<{ tenant: Tenant; revokedKeys: number }> {
    return changeTenants(this.#redis, async () => {
      const tenant = { ...(await this.getTenant(id)), disabled: true };
      const { records } = await this.#keysOf(id);
      const live = records.items.filter((key) => key.revokedAtMs === undefined);
      const revokedAtMs = this.#nowMs();
      const revoked = live.map((key) => writeKey({ ...key, revokedAtMs }));
      // A record that cannot be read opens nothing, whatever is in it.
      return {
        writes: [writeTenant(tenant), ...revoked],
        result: { tenant, revokedKeys: live.length },
      };
    });
  }

  createKey(tenantId: string, options: KeyOptions = {}): Promise<NewKey> {
    const { name = '', scopes = ['stream'], expiresInS } = options;
    return changeTenants(this.#redis, async () => {
      const tenant = await this.getTenant(tenantId);
      if (tenant.disabled)
        throw new TenantError('tenant_disabled', `tenant ${tenantId} is disabled; enable it first`);
      const lifetimeMs = expiresInS === undefined ? undefined : expiresInS * 1000;
      const made = this.#make({ tenantId, name, scopes: [...new Set(scopes)] }, lifetimeMs);
      const room = await this.#roomFor(tenantId);
      return { writes: [...room, ...made.writes], result: made.result };
    });
  }

  async listKeys(tenantId: string): Promise<Listed<KeyInfo>> {
    await this.getTenant(tenantId);
    const { records, used } = await this.#keysOf(tenantId);
    const items = records.items.map((key) => infoOf(key, used.get(key.id)));
    return { ...records, items: items.sort((one, other) => one.createdAtMs - other.createdAtMs) };
  }

  /**
   * Makes a new key like the old one, which goes on for `overlapS` seconds more at the most. One that had a limited life
   * gives the new one a life of the same length.
   */
  rotateKey(keyId: string, overlapS: number): Promise<NewKey & { readonly old: KeyInfo }> {
    return changeTenants(this.#redis, async () => {
      if (!(overlapS >= 0 && Number.isFinite(overlapS)))
        throw new TenantError('invalid_value', 'the overlap must be 0 or more');
      const old = await this.#key(keyId);
      const nowMs = this.#nowMs();
      const state = keyState(old, await this.getTenant(old.tenantId), nowMs);
      if (state === 'disabled')
        throw new TenantError('tenant_disabled', `tenant ${old.tenantId} is disabled`);
      if (state !== 'active')
        throw new TenantError('key_not_active', `key ${keyId} is ${state}; create a new one`);
      if (old.replacedBy !== undefined)
        throw new TenantError(
          'key_not_active',
          `key ${keyId} was rotated; rotate ${old.replacedBy}`,
        );
      const { tenantId, name, scopes } = old;
      const lifetimeMs =
        old.expiresAtMs === undefined ? undefined : old.expiresAtMs - old.createdAtMs;
      const made = this.#make({ tenantId, name, scopes }, lifetimeMs);
      const expiresAtMs = Math.min(
        old.expiresAtMs ?? Number.POSITIVE_INFINITY,
        nowMs + overlapS * 1000,
      );
      const ending = { ...old, expiresAtMs, replacedBy: made.result.key.id };
      const room = await this.#roomFor(tenantId);
      return {
        writes: [...room, writeKey(ending), ...made.writes],
        result: { ...made.result, old: infoOf(ending) },
      };
    });
  }

  /** Ends a key now; gateways close its sessions within two seconds. Again: no change. */
  revokeKey(keyId: string): Promise<KeyInfo> {
    return changeTenants(this.#redis, async () => {
      const key = await this.#key(keyId);
      if (key.revokedAtMs !== undefined) return { writes: [], result: infoOf(key) };
      const revoked = { ...key, revokedAtMs: this.#nowMs() };
      return { writes: [writeKey(revoked)], result: infoOf(revoked) };
    });
  }

  #nowMs(): number {
    return Math.floor(this.#clock.wallNow());
  }

  async #key(keyId: string): Promise<KeyRecord> {
    const raw = await this.#redis.hget(TENANT_KEYS.keys, keyId).catch(fault);
    if (raw === null) throw new TenantError('key_not_found', `there is no key ${keyId}`);
    return readRecord(KeyRecord, raw, `key ${keyId}`);
  }

  #make(
    fields: Pick<KeyRecord, 'tenantId' | 'name' | 'scopes'>,
    lifetimeMs: number | undefined,
  ): { writes: HashWrite[]; result: NewKey } {
    if (fields.scopes.length === 0) throw new TenantError('invalid_value', 'a key needs a scope');
    if (lifetimeMs !== undefined && !(lifetimeMs > 0))
      throw new TenantError('invalid_value', 'a key must live for longer than 0 seconds');
    const credential = newCredential('key');
    const createdAtMs = this.#nowMs();
    const expiresAtMs = lifetimeMs === undefined ? undefined : createdAtMs + lifetimeMs;
    const hash = secretDigest(credential.secret).toString('hex');
    const key = valid(KeyRecord, { ...fields, id: credential.id, hash, createdAtMs, expiresAtMs });
    const inIndex = { hash: keysOfTenant(fields.tenantId), field: key.id, value: '1' };
    return {
      writes: [writeKey(key), inIndex],
      result: { key: infoOf(key), secret: formatCredential(credential) },
    };
  }

  async #keysOf(
    tenantId: string,
  ): Promise<{ records: Listed<KeyRecord>; used: Map<string, number>; ids: string[] }> {
    const ids = await this.#redis.hkeys(keysOfTenant(tenantId)).catch(fault);
    if (ids.length === 0) return { records: { items: [], unreadable: [] }, used: new Map(), ids };
    const [texts, times] = await Promise.all([
      this.#redis.hmget(TENANT_KEYS.keys, ...ids),
      this.#redis.hmget(TENANT_KEYS.used, ...ids),
    ]).catch(fault);
    const raw = Object.fromEntries(ids.map((id, index) => [id, texts[index] ?? '']));
    const used = new Map<string, number>();
    for (const [index, id] of ids.entries()) if (times[index]) used.set(id, Number(times[index]));
    return {
      records: list(raw, (id, text) => readRecord(KeyRecord, text, `key ${id}`)),
      used,
      ids,
    };
  }

  /** Removes the key dead for longest if the tenant has as many as it may. */
  async #roomFor(tenantId: string): Promise<HashWrite[]> {
    const { records, ids } = await this.#keysOf(tenantId);
    if (ids.length < KEYS_MAX) return [];
    const deadSinceMs = ({ revokedAtMs, expiresAtMs }: KeyRecord): number =>
      Math.min(revokedAtMs ?? Number.POSITIVE_INFINITY, expiresAtMs ?? Number.POSITIVE_INFINITY);
    const [oldest] = [...records.items].sort((one, other) => deadSinceMs(one) - deadSinceMs(other));
    if (oldest === undefined || deadSinceMs(oldest) > this.#nowMs() - DEAD_KEY_KEPT_MS)
      throw new TenantError(
        'too_many_keys',
        `tenant ${tenantId} has ${ids.length} keys, which is the most`,
      );
    const hashes = [TENANT_KEYS.keys, TENANT_KEYS.used, keysOfTenant(tenantId)];
    return hashes.map((hash) => ({ hash, field: oldest.id, value: undefined }));
  }
}

function writeTenant(tenant: Tenant): HashWrite {
  return { hash: TENANT_KEYS.tenants, field: tenant.id, value: JSON.stringify(tenant) };
}

function writeKey(key: KeyRecord): HashWrite {
  return { hash: TENANT_KEYS.keys, field: key.id, value: JSON.stringify(key) };
}

function infoOf({ hash: _, ...key }: KeyRecord, lastUsedAtMs?: number): KeyInfo {
  return lastUsedAtMs === undefined ? key : { ...key, lastUsedAtMs };
}

/** What is written must be readable. */
function valid<T>(schema: z.ZodType<T>, fields: Record<string, unknown>): T {
  const result = schema.safeParse(fields);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new TenantError('invalid_value', `${issue?.path.join('.')}: ${issue?.message}`);
}

/** The names of before with those given; null takes one away. */
function kept(
  held: Readonly<Record<string, string>>,
  given: TenantFields['aliases'] = {},
): Record<string, string> {
  const all = Object.entries({ ...held, ...given });
  return Object.fromEntries(all.filter((one): one is [string, string] => one[1] !== null));
}

/** A field given as undefined is one left out. */
function defined(fields: object = {}): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function list<T>(
  records: Readonly<Record<string, string>>,
  read: (id: string, raw: string) => T,
): Listed<T> {
  const items: T[] = [];
  const unreadable: { id: string; reason: string }[] = [];
  for (const id of Object.keys(records).sort()) {
    try {
      items.push(read(id, records[id] ?? ''));
    } catch (error) {
      if (!(error instanceof TenantError)) throw error;
      unreadable.push({ id, reason: error.message });
    }
  }
  return { items, unreadable };
}
