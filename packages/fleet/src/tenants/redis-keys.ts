/**
 * Every Redis key of tenants. All share one hash tag, so that a change of several is one step on a cluster too; none can be
 * a key of a fleet, which begin with `vf:`.
 */
export const TENANT_KEYS = {
  /** string, grows with each change of a tenant or key: what gateways poll. Owner: TenantStore. */
  version: '{vf-tenants}:version',
  /** hash, tenant → JSON of its Tenant. Owner: TenantStore. */
  tenants: '{vf-tenants}:tenants',
  /** hash, key → JSON of its KeyRecord. Owner: TenantStore. */
  keys: '{vf-tenants}:keys',
  /** hash, key → time in ms of its last use, at most a minute or so old. Owner: CredentialStore; goes with the key. */
  used: '{vf-tenants}:used',
} as const;

/** hash, key of this tenant → '1'. Owner: TenantStore. */
export function keysOfTenant(tenantId: string): string {
  return `{vf-tenants}:keys-of:${tenantId}`;
}

/** string, how many tokens a tenant was given in the minute before this key ends. Owner: CredentialStore. */
export function mintsKey(tenantId: string): string {
  return `{vf-tenants}:mints:${tenantId}`;
}

/** string, JSON of a TokenRecord; gone when the token has expired. Owner: CredentialStore. */
export function tokenKey(tokenId: string): string {
  return `{vf-tenants}:token:${tokenId}`;
}
