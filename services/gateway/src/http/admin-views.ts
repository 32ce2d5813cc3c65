import type { Tenant } from '@voice-fleet/fleet/tenant';
import { keyPrefix } from '@voice-fleet/fleet/tenants/credential';
import type { NewToken } from '@voice-fleet/fleet/tenants/credential-store';
import type { KeyInfo } from '@voice-fleet/fleet/tenants/records';
import type { Listed, NewKey } from '@voice-fleet/fleet/tenants/tenant-store';
import { outsideName } from './admin-bodies.ts';

type View = Readonly<Record<string, unknown>>;

/** How tenants, keys and tokens look in HTTP answers and in `--json` of the command line. Times are ISO 8601 in UTC. */
export function tenantView(tenant: Tenant): View {
  const { id, name, limits, aliases, models, disabled, createdAtMs } = tenant;
  const named = Object.entries(limits).map(([limit, value]) => [outsideName(limit), value]);
  const created_at = isoTime(createdAtMs);
  return { id, name, disabled, created_at, limits: Object.fromEntries(named), aliases, models };
}

export function keyView(key: KeyInfo): View {
  return {
    id: key.id,
    prefix: keyPrefix(key.id),
    tenant: key.tenantId,
    name: key.name,
    scopes: key.scopes,
    created_at: isoTime(key.createdAtMs),
    expires_at: isoTime(key.expiresAtMs),
    revoked_at: isoTime(key.revokedAtMs),
    last_used_at: isoTime(key.lastUsedAtMs),
    replaced_by: key.replacedBy,
  };
}

export function newKeyView({ key, secret, old }: NewKey & { readonly old?: KeyInfo }): View {
  return { key: keyView(key), secret, ...(old && { old: keyView(old) }) };
}

export function tokenView({ token, expiresAtMs, scopes }: NewToken): View {
  return { token, expires_at: isoTime(expiresAtMs), scopes };
}

export function listView<T>(name: string, { items, unreadable }: Listed<T>, of: (item: T) => View) {
  return { [name]: items.map(of), ...(unreadable.length > 0 && { unreadable }) };
}

function isoTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
