/** Why a tenant, a key or a token cannot be read or changed. Operators see these, clients do not. */
export type TenantFault =
  | 'tenant_not_found'
  | 'key_not_found'
  | 'tenant_exists'
  /** Its name belongs to the tenant of VOXTRAL_API_KEY, which is in no store. */
  | 'tenant_reserved'
  | 'tenant_disabled'
  /** Revoked, expired, or rotated before. */
  | 'key_not_active'
  | 'too_many_tenants'
  | 'too_many_keys'
  | 'too_many_tokens'
  /** Others changed tenants all the time; nothing was done. */
  | 'busy'
  | 'invalid_value'
  /** What Redis holds is not what we wrote. */
  | 'unreadable_record';

export class TenantError extends Error {
  override readonly name = 'TenantError';
  readonly code: TenantFault;

  constructor(code: TenantFault, message: string) {
    super(message);
    this.code = code;
  }
}
