import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import type { ChainableCommander, Redis } from 'ioredis';
import { redisFault } from '../redis.ts';
import { DEFAULT_TENANT, type Principal, type Scope, Tenant } from '../tenant.ts';
import { type CredentialRef, formatCredential, newCredential, secretDigest } from './credential.ts';
import { ENV_KEY_ID, KeyRecord, readRecord, TokenRecord } from './records.ts';
import { mintsKey, TENANT_KEYS, tokenKey } from './redis-keys.ts';
import { fault, tenantVersion } from './tenant-changes.ts';
import { TenantError } from './tenant-error.ts';

/** A key and its tenant. */
export interface StoredKey {
  readonly key: KeyRecord;
  readonly tenant: Tenant;
}

/** What Redis knows of one key or token. */
export interface StoredCredential {
  readonly tenantId: string;
  /** The key itself, or the one that made the token. */
  readonly keyId: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 of the secret. */
  readonly digest: Buffer;
  /** When the token ends; a key's end is in its record. */
  readonly tokenExpiresAtMs: number | undefined;
  /** Of a token that is bound to a session: its JSON. */
  readonly session?: string;
  /** Undefined for a token made with VOXTRAL_API_KEY. */
  readonly stored: StoredKey | undefined;
}

/** An answer for each that was asked for, as of `version` or later. A TenantError stands for a record that cannot be read. */
export interface Answers<T> {
  readonly version: string;
  readonly found: readonly (T | TenantError | undefined)[];
}

export interface MintOptions {
  /** From TOKEN_TTL_S.min to TOKEN_TTL_S.max. */
  readonly ttlS?: number;
  /** Some of those of the key; default: `stream`. Never `tokens`. */
  readonly scopes?: readonly Scope[];
  /** JSON of the session that the token's holder is to have. */
  readonly session?: string;
}

export interface NewToken {
  /** `vft_<id>_<secret>`; stored nowhere. */
  readonly token: string;
  readonly expiresAtMs: number;
  readonly scopes: readonly Scope[];
}

/** Of one tenant: one for each session that it may well open. */
export const MINTS_PER_MINUTE = 1_000;
export const TOKEN_TTL_S = { min: 10, max: 3600, default: 60 } as const;

/** Fields of one HMGET: some 100 µs of Redis. */
const FIELDS_PER_READ = 500;

/** What gateways ask and write of credentials. Every method may throw `RedisUnavailable`. */
export class CredentialStore {
  readonly #redis: Redis;
  readonly #clock: Pick<Clock, 'wallNow'>;

  constructor(redis: Redis, clock: Pick<Clock, 'wallNow'> = systemClock) {
    this.#redis = redis;
    this.#clock = clock;
  }

  /** Changes with each change of a tenant or key; see changeTenants. */
  version(): Promise<string> {
    return tenantVersion(this.#redis);
  }

  /** Looks up many credentials in at most three round trips. A key without its tenant, or a token without its key, is not found. */
  async find(refs: readonly CredentialRef[]): Promise<Answers<StoredCredential>> {
    const ids = (kind: string): string[] =>
      refs.flatMap((ref) => (ref.kind === kind ? [ref.id] : []));
    const keyIds = ids('key');
    const tokenIds = ids('token');
    const first = this.#redis.pipeline().get(TENANT_KEYS.version);
    hmget(first, TENANT_KEYS.keys, keyIds);
    if (tokenIds.length > 0) first.mget(tokenIds.map(tokenKey));
    const [version, ...answers] = await run(first);
    const tokenTexts = tokenIds.length > 0 ? (answers.pop() as Raw[]) : [];
    const keyTexts = byId(keyIds, answers as Raw[][]);

    const tokens = new Map<string, TokenRecord | TenantError>();
    for (const [index, id] of tokenIds.entries()) {
      const raw = tokenTexts[index];
      if (raw)
        tokens.set(
          id,
          attempt(() => readRecord(TokenRecord, raw, `token ${id}`)),
        );
    }
    const minters = [...tokens.values()].flatMap((token) =>
      token instanceof TenantError || token.keyId === ENV_KEY_ID ? [] : [token.keyId],
    );
    for (const [id, raw] of await this.#read(TENANT_KEYS.keys, minters)) keyTexts.set(id, raw);
    const stored = await this.#withTenants(keyTexts);
    return {
      version: (version as Raw) ?? '0',
      found: refs.map(({ kind, id }) =>
        kind === 'key' ? ofKey(stored.get(id)) : ofToken(tokens.get(id), stored),
      ),
    };
  }

  /** The present records of keys whose tenants are known, in one round trip. */
  async read(
    keys: readonly { readonly keyId: string; readonly tenantId: string }[],
  ): Promise<Answers<StoredKey>> {
    const keyIds = keys.map(({ keyId }) => keyId);
    const tenantIds = [...new Set(keys.map(({ tenantId }) => tenantId))];
    const pipeline = this.#redis.pipeline().get(TENANT_KEYS.version);
    const parts = hmget(pipeline, TENANT_KEYS.keys, keyIds);
    hmget(pipeline, TENANT_KEYS.tenants, tenantIds);
    const [version, ...answers] = await run(pipeline);
    const keyTexts = byId(keyIds, answers.slice(0, parts) as Raw[][]);
    const tenantTexts = byId(tenantIds, answers.slice(parts) as Raw[][]);
    const stored = join(readKeys(keyTexts), tenantTexts);
    return { version: (version as Raw) ?? '0', found: keyIds.map((id) => stored.get(id)) };
  }

  /** Remembers that a key was used just now. */
  async touch(keyId: string): Promise<void> {
    await this.#redis.hset(TENANT_KEYS.used, keyId, Math.floor(this.#clock.wallNow())).catch(fault);
  }

  /**
   * Makes a token for a client of the principal's tenant. It dies with the key, or after its time. Throws TenantError
   * `invalid_value`. That the principal may make tokens at all, its caller has checked.
   */
  async mint(principal: Principal, options: MintOptions = {}): Promise<NewToken> {
    const { ttlS = TOKEN_TTL_S.default, scopes = ['stream'], session } = options;
    if (!(ttlS >= TOKEN_TTL_S.min && ttlS <= TOKEN_TTL_S.max))
      throw new TenantError(
        'invalid_value',
        `a token lives from ${TOKEN_TTL_S.min} to ${TOKEN_TTL_S.max} seconds`,
      );
    if (scopes.length === 0) throw new TenantError('invalid_value', 'a token needs a scope');
    for (const scope of scopes) {
      if (scope === 'tokens' || !principal.scopes.includes(scope))
        throw new TenantError('invalid_value', `this key makes no tokens with the scope ${scope}`);
    }
    const credential = newCredential('token');
    const ttlMs = Math.floor(ttlS * 1000);
    const record: TokenRecord = {
      tenantId: principal.tenantId,
      keyId: principal.keyId,
      scopes: [...new Set(scopes)],
      hash: secretDigest(credential.secret).toString('hex'),
      expiresAtMs: this.#clock.wallNow() + ttlMs,
      ...(session !== undefined && { session }),
    };
    const key = tokenKey(credential.id);
    await this.#countMint(principal.tenantId);
    await this.#redis.set(key, JSON.stringify(record), 'PX', ttlMs).catch(fault);
    const { expiresAtMs } = record;
    return { token: formatCredential(credential), expiresAtMs, scopes: record.scopes };
  }

  /** Tokens live for an hour at the most, so this bounds how many there are. */
  async #countMint(tenantId: string): Promise<void> {
    const key = mintsKey(tenantId);
    const minted = await this.#redis.incr(key).catch(fault);
    if (minted === 1) await this.#redis.pexpire(key, 60_000).catch(fault);
    if (minted > MINTS_PER_MINUTE)
      throw new TenantError(
        'too_many_tokens',
        `a tenant makes at most ${MINTS_PER_MINUTE} tokens in a minute`,
      );
  }

  async #withTenants(keyTexts: ReadonlyMap<string, Raw>): Promise<Map<string, Joined>> {
    const keys = readKeys(keyTexts);
    const tenantIds = [...keys.values()].flatMap((key) =>
      key instanceof TenantError ? [] : [key.tenantId],
    );
    return join(keys, await this.#read(TENANT_KEYS.tenants, tenantIds));
  }

  async #read(hash: string, ids: readonly string[]): Promise<Map<string, Raw>> {
    if (ids.length === 0) return new Map();
    const distinct = [...new Set(ids)];
    const pipeline = this.#redis.pipeline();
    hmget(pipeline, hash, distinct);
    return byId(distinct, (await run(pipeline)) as Raw[][]);
  }
}

type Raw = string | null;
type Joined = StoredKey | TenantError;

function hmget(pipeline: ChainableCommander, hash: string, fields: readonly string[]): number {
  let parts = 0;
  for (let from = 0; from < fields.length; from += FIELDS_PER_READ) {
    pipeline.hmget(hash, ...fields.slice(from, from + FIELDS_PER_READ));
    parts += 1;
  }
  return parts;
}

function byId(ids: readonly string[], parts: readonly (readonly Raw[])[]): Map<string, Raw> {
  const values = parts.flat();
  return new Map(ids.map((id, index) => [id, values[index] ?? null]));
}

async function run(pipeline: ChainableCommander): Promise<unknown[]> {
  const replies = await pipeline.exec().catch(fault);
  return (replies ?? []).map(([error, reply]) => {
    if (error) throw redisFault(error);
    return reply;
  });
}

function attempt<T>(read: () => T): T | TenantError {
  try {
    return read();
  } catch (error) {
    if (error instanceof TenantError) return error;
    throw error;
  }
}

function readKeys(texts: ReadonlyMap<string, Raw>): Map<string, KeyRecord | TenantError> {
  const keys = new Map<string, KeyRecord | TenantError>();
  for (const [id, raw] of texts)
    if (raw !== null)
      keys.set(
        id,
        attempt(() => readRecord(KeyRecord, raw, `key ${id}`)),
      );
  return keys;
}

function join(
  keys: ReadonlyMap<string, KeyRecord | TenantError>,
  tenantTexts: ReadonlyMap<string, Raw>,
): Map<string, Joined> {
  const joined = new Map<string, Joined>();
  for (const [id, key] of keys) {
    if (key instanceof TenantError) {
      joined.set(id, key);
      continue;
    }
    const raw = tenantTexts.get(key.tenantId);
    if (!raw) continue;
    const tenant = attempt(() => readRecord(Tenant, raw, `tenant ${key.tenantId}`));
    joined.set(id, tenant instanceof TenantError ? tenant : { key, tenant });
  }
  return joined;
}

function ofKey(stored: Joined | undefined): StoredCredential | TenantError | undefined {
  if (stored === undefined || stored instanceof TenantError) return stored;
  const { id, tenantId, scopes, hash } = stored.key;
  const digest = Buffer.from(hash, 'hex');
  return { tenantId, keyId: id, scopes, digest, tokenExpiresAtMs: undefined, stored };
}

function ofToken(
  token: TokenRecord | TenantError | undefined,
  keys: ReadonlyMap<string, Joined>,
): StoredCredential | TenantError | undefined {
  if (token === undefined || token instanceof TenantError) return token;
  const { tenantId, keyId, scopes, hash, expiresAtMs, session } = token;
  const stored = keys.get(keyId);
  if (stored instanceof TenantError) return stored;
  const expected = keyId === ENV_KEY_ID ? DEFAULT_TENANT : stored?.tenant.id;
  if (expected !== tenantId) return undefined;
  const digest = Buffer.from(hash, 'hex');
  const bound = session !== undefined && { session };
  return { tenantId, keyId, scopes, digest, tokenExpiresAtMs: expiresAtMs, stored, ...bound };
}
