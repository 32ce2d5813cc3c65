import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Principal, TenantLimits } from '@voice-fleet/fleet/tenant';
import type { CredentialStore, StoredKey } from '@voice-fleet/fleet/tenants/credential-store';
import { ENV_KEY_ID, keyState } from '@voice-fleet/fleet/tenants/records';
import { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';

/** What became of a key that is in use. `revoked` also stands for its end by time and for a disabled tenant; nothing follows it. */
export type KeyChange = { kind: 'revoked' } | { kind: 'limits'; limits: TenantLimits };

export interface RevocationWatchOptions {
  readonly store: Pick<CredentialStore, 'version' | 'read'>;
  readonly clock: Clock;
  readonly log: Logger;
}

const POLL_MS = 500;

interface Watcher {
  limits: string;
  readonly onChange: (change: KeyChange) => void;
}

interface Held {
  readonly tenantId: string;
  readonly watchers: Set<Watcher>;
  expiresAtMs: number | undefined;
}

/**
 * Tells sessions what becomes of the keys they came with. Asks for the version twice a second, and for the keys in use, all in
 * one round trip, when it has changed. A key that is missing is no reason to end a session: Redis may have come back empty.
 */
export class RevocationWatch {
  readonly #store: RevocationWatchOptions['store'];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #held = new Map<string, Held>();
  /** Keys to be read whether or not the version changes: they may have changed before somebody watched. */
  #due = new Set<string>();
  #timer: Timer | undefined;
  #polling: Promise<void> | undefined;
  #version: string | undefined;
  #readVersion: string | undefined;
  #polledMs = Number.NEGATIVE_INFINITY;
  #away = false;

  constructor({ store, clock, log }: RevocationWatchOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** The version last heard of; undefined before the first. */
  get version(): string | undefined {
    return this.#version;
  }

  /** `clock.now()` as the question was put that `version` answers. */
  get polledMs(): number {
    return this.#polledMs;
  }

  /** Redis could not be asked the last time. */
  get away(): boolean {
    return this.#away;
  }

  start(): void {
    this.#timer ??= this.#clock.every(POLL_MS, () => this.#poll());
    this.#poll();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#polling;
  }

  /** From now on `onChange` hears of changes since the principal was found, until the function returned is called. */
  watch(principal: Principal, onChange: (change: KeyChange) => void): () => void {
    const { keyId, tenantId, limits } = principal;
    if (keyId === ENV_KEY_ID) return () => undefined;
    const watcher = { limits: JSON.stringify(limits), onChange };
    let held = this.#held.get(keyId);
    if (held === undefined) {
      held = { tenantId, watchers: new Set(), expiresAtMs: undefined };
      this.#held.set(keyId, held);
    }
    const { watchers } = held;
    watchers.add(watcher);
    this.#due.add(keyId);
    return () => {
      watchers.delete(watcher);
      if (watchers.size > 0 || this.#held.get(keyId)?.watchers !== watchers) return;
      this.#held.delete(keyId);
      this.#due.delete(keyId);
    };
  }

  #poll(): void {
    this.#endExpired();
    this.#polling ??= this.#ask().finally(() => {
      this.#polling = undefined;
    });
  }

  #endExpired(): void {
    const nowMs = this.#clock.wallNow();
    for (const [keyId, held] of this.#held)
      if (held.expiresAtMs !== undefined && held.expiresAtMs <= nowMs) this.#revoke(keyId, held);
  }

  /** Does not reject. */
  async #ask(): Promise<void> {
    const askedMs = this.#clock.now();
    try {
      this.#version = await this.#store.version();
      this.#polledMs = askedMs;
      await this.#readKeys();
      this.#away = false;
    } catch (error) {
      this.#away = true;
      if (!(error instanceof RedisUnavailable))
        this.#log.error({ event: 'tenants_fault', err: error });
    }
  }

  async #readKeys(): Promise<void> {
    const changed = this.#version !== this.#readVersion;
    const keyIds = [...(changed ? this.#held.keys() : this.#due)];
    const due = this.#due;
    this.#due = new Set();
    const keys = keyIds.flatMap((keyId) => {
      const held = this.#held.get(keyId);
      return held ? [{ keyId, tenantId: held.tenantId, held }] : [];
    });
    if (keys.length === 0) {
      this.#readVersion = this.#version;
      return;
    }
    try {
      const { version, found } = await this.#store.read(keys);
      for (const [index, { keyId, held }] of keys.entries()) this.#apply(keyId, held, found[index]);
      if (changed) this.#readVersion = version;
    } catch (error) {
      for (const keyId of due) this.#due.add(keyId);
      throw error;
    }
  }

  #apply(keyId: string, held: Held, found: StoredKey | TenantError | undefined): void {
    if (found instanceof TenantError)
      this.#log.error({ event: 'tenant_record_unreadable', keyId, message: found.message });
    if (found === undefined || found instanceof TenantError) return;
    const { key, tenant } = found;
    if (keyState(key, tenant, this.#clock.wallNow()) !== 'active') return this.#revoke(keyId, held);
    held.expiresAtMs = key.expiresAtMs;
    const limits = JSON.stringify(tenant.limits);
    for (const watcher of [...held.watchers]) {
      if (watcher.limits === limits) continue;
      watcher.limits = limits;
      this.#tell(watcher, { kind: 'limits', limits: tenant.limits });
    }
  }

  #revoke(keyId: string, held: Held): void {
    if (this.#held.get(keyId) === held) {
      this.#held.delete(keyId);
      this.#due.delete(keyId);
    }
    const watchers = [...held.watchers];
    held.watchers.clear();
    for (const watcher of watchers) this.#tell(watcher, { kind: 'revoked' });
  }

  /** A session that fails must not keep others from hearing. */
  #tell(watcher: Watcher, change: KeyChange): void {
    try {
      watcher.onChange(change);
    } catch (error) {
      this.#log.error({ event: 'key_change_fault', err: error });
    }
  }
}
