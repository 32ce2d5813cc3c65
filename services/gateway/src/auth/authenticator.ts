import { timingSafeEqual } from 'node:crypto';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import {
  DEFAULT_TENANT,
  type Principal,
  SCOPES,
  type Scope,
  type TenantLimits,
} from '@voice-fleet/fleet/tenant';
import {
  type Credential,
  parseCredential,
  secretDigest,
} from '@voice-fleet/fleet/tenants/credential';
import type {
  CredentialStore,
  StoredCredential,
} from '@voice-fleet/fleet/tenants/credential-store';
import { ENV_KEY_ID, keyState } from '@voice-fleet/fleet/tenants/records';
import { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { BoundedMap } from './bounded-map.ts';
import { LookupBatch } from './lookup-batch.ts';
import type { RevocationWatch } from './revocation-watch.ts';
import { SecretCheck } from './secret-check.ts';

export interface AuthenticatorOptions {
  readonly store: Pick<CredentialStore, 'find' | 'touch'>;
  /** Tells whether what is remembered still holds. */
  readonly watch: Pick<RevocationWatch, 'version' | 'polledMs' | 'away'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** VOXTRAL_API_KEY; empty: only stored keys are accepted. */
  readonly envKey: string;
  /** Of the tenant of that key. */
  readonly envLimits: TenantLimits;
}

const REMEMBERED_MAX = 10_000;
/** How long an answer is believed while the version stands still. */
const FRESH_MS = 60_000;
/** How long while Redis cannot be asked. */
const FRESH_AWAY_MS = 600_000;
/** How long an unknown id stays unknown. Ids are random, so nobody asks for one before it is made. */
const UNKNOWN_MS = 5_000;
const TOUCH_MS = 60_000;

interface Remembered {
  readonly stored: StoredCredential;
  readonly version: string;
  /** When the question was put. */
  readonly askedMs: number;
}

/** What no secret hashes to: for ids that nobody has, at the cost of those that somebody has. */
const NOBODY = Buffer.alloc(32);

/** Finds who is behind a key or client token. Keeps digests only, never a secret. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #envKey: SecretCheck;
  readonly #envPrincipal: Principal;
  readonly #lookups: LookupBatch;
  readonly #known = new BoundedMap<string, Remembered>(REMEMBERED_MAX);
  /** Until when an id is unknown. */
  readonly #unknown = new BoundedMap<string, number>(REMEMBERED_MAX);
  readonly #touchedMs = new BoundedMap<string, number>(REMEMBERED_MAX);

  constructor(options: AuthenticatorOptions) {
    const { store, clock, envKey, envLimits: limits } = options;
    this.#options = options;
    this.#envKey = new SecretCheck(envKey);
    this.#envPrincipal = { tenantId: DEFAULT_TENANT, keyId: ENV_KEY_ID, scopes: SCOPES, limits };
    this.#lookups = new LookupBatch({ find: (refs) => store.find(refs), clock });
  }

  /**
   * Throws VoiceError: authentication_failed, key_revoked (also for an expired key or a disabled tenant), scope_missing, or
   * fleet_unavailable when Redis cannot be asked and nothing is remembered.
   */
  async authenticate(credential: string, scope: Scope): Promise<Principal> {
    const principal = await this.#principalOf(credential);
    if (!principal.scopes.includes(scope))
      throw new VoiceError('scope_missing', { details: { scope } });
    this.#touch(principal.keyId);
    return principal;
  }

  stop(): void {
    this.#lookups.stop();
  }

  async #principalOf(text: string): Promise<Principal> {
    if (this.#envKey.accepts(text)) return this.#envPrincipal;
    const credential = parseCredential(text);
    const digest = secretDigest(credential?.secret ?? '');
    const stored = credential && (await this.#find(credential));
    const matches = timingSafeEqual(digest, stored?.digest ?? NOBODY);
    if (stored === undefined || !matches) throw new VoiceError('authentication_failed');
    return this.#judge(stored);
  }

  #judge(found: StoredCredential): Principal {
    const { tenantId, keyId, scopes, tokenExpiresAtMs, stored, session } = found;
    const bound = session !== undefined && { session };
    const nowMs = this.#options.clock.wallNow();
    if (tokenExpiresAtMs !== undefined && tokenExpiresAtMs <= nowMs)
      throw new VoiceError('authentication_failed');
    if (stored === undefined) {
      // A token made with VOXTRAL_API_KEY is good as long as such a key is.
      if (!this.#envKey.isSet) throw new VoiceError('authentication_failed');
      return { tenantId, keyId, scopes, limits: this.#envPrincipal.limits, ...bound };
    }
    const state = keyState(stored.key, stored.tenant, nowMs);
    switch (state) {
      case 'active':
        return {
          ...{ tenantId, keyId, scopes },
          ...{ limits: stored.tenant.limits, models: stored.tenant },
          ...bound,
        };
      case 'revoked':
        throw new VoiceError('key_revoked');
      case 'expired':
        throw new VoiceError('key_revoked', {
          message: 'This API key has expired. Use another key.',
        });
      case 'disabled':
        throw new VoiceError('key_revoked', {
          message: 'The tenant of this API key is disabled. Ask its operator.',
        });
    }
  }

  async #find(credential: Credential): Promise<StoredCredential | undefined> {
    const { watch, clock } = this.#options;
    const name = `${credential.kind} ${credential.id}`;
    const known = this.#known.get(name);
    if (known && this.#holds(known, watch.away ? FRESH_AWAY_MS : FRESH_MS)) return known.stored;
    const askedMs = clock.now();
    if ((this.#unknown.get(name) ?? Number.NEGATIVE_INFINITY) > askedMs) return undefined;
    try {
      const { version, found } = await this.#lookups.get(credential);
      if (found instanceof TenantError) throw found;
      if (found === undefined) {
        this.#known.delete(name);
        this.#unknown.set(name, askedMs + UNKNOWN_MS);
      } else this.#known.set(name, { stored: found, version, askedMs });
      return found;
    } catch (error) {
      if (error instanceof RedisUnavailable) {
        if (known && this.#holds(known, FRESH_AWAY_MS)) return known.stored;
        throw new VoiceError('fleet_unavailable', { details: { retry_after_s: 1 }, cause: error });
      }
      this.#options.log.error({ event: 'tenants_fault', err: error });
      throw new VoiceError('internal', { cause: error });
    }
  }

  /** Nothing has changed since it was read, as far as is known, and that is not too long ago. */
  #holds({ version, askedMs }: Remembered, maxAgeMs: number): boolean {
    const { watch, clock } = this.#options;
    const current = watch.version === version || askedMs > watch.polledMs;
    return current && clock.now() - askedMs <= maxAgeMs;
  }

  /** Once a minute for each key. That it failed is no reason to turn anybody away. */
  #touch(keyId: string): void {
    if (keyId === ENV_KEY_ID) return;
    const { store, clock, log } = this.#options;
    const nowMs = clock.now();
    if (nowMs - (this.#touchedMs.get(keyId) ?? Number.NEGATIVE_INFINITY) < TOUCH_MS) return;
    this.#touchedMs.set(keyId, nowMs);
    store.touch(keyId).catch((error: unknown) => {
      if (!(error instanceof RedisUnavailable)) log.error({ event: 'tenants_fault', err: error });
    });
  }
}
