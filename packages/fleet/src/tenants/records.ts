import { z } from 'zod';
import { SCOPES, type Scope, Tenant, TenantId } from '../tenant.ts';
import { TenantError } from './tenant-error.ts';

const CredentialId = z.string().regex(/^[0-9a-f]{16}$/);
const Digest = z.string().regex(/^[0-9a-f]{64}$/);
const timeMs = z.number().nonnegative();

/** A scope that a newer version has written is not ours to grant, and no reason to refuse the others. */
const Scopes = z
  .array(z.string())
  .transform((names): Scope[] => SCOPES.filter((scope) => names.includes(scope)));

/** A tenant's key as Redis holds it. Times are Unix milliseconds by the clock of whoever wrote them. */
export const KeyRecord = z.object({
  id: CredentialId,
  tenantId: TenantId,
  name: z.string().max(200).default(''),
  scopes: Scopes,
  /** SHA-256 of the secret, in hex. */
  hash: Digest,
  createdAtMs: timeMs,
  expiresAtMs: timeMs.optional(),
  revokedAtMs: timeMs.optional(),
  /** The key that a rotation has put in its place. */
  replacedBy: CredentialId.optional(),
});
export type KeyRecord = z.infer<typeof KeyRecord>;

/** A client token as Redis holds it. `keyId` is the key that made it; `env` is VOXTRAL_API_KEY. */
export const TokenRecord = z.object({
  tenantId: TenantId,
  keyId: z.union([CredentialId, z.literal('env')]),
  scopes: Scopes,
  hash: Digest,
  expiresAtMs: timeMs,
  /** JSON of the session that its holder is to have; only the protocol knows what that is. */
  session: z.string().optional(),
});
export type TokenRecord = z.infer<typeof TokenRecord>;

/** Key id of VOXTRAL_API_KEY, which has no record. */
export const ENV_KEY_ID = 'env';

/** What an operator may see of a key: all but its hash. */
export type KeyInfo = Omit<KeyRecord, 'hash'> & { readonly lastUsedAtMs?: number };

/** Whether a key opens sessions, and whether those it opened may go on. */
export type KeyState = 'active' | 'revoked' | 'expired' | 'disabled';

export function keyState(
  key: Pick<KeyRecord, 'revokedAtMs' | 'expiresAtMs'>,
  tenant: Pick<Tenant, 'disabled'>,
  nowMs: number,
): KeyState {
  if (key.revokedAtMs !== undefined) return 'revoked';
  if (key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs) return 'expired';
  return tenant.disabled ? 'disabled' : 'active';
}

/** Throws TenantError `unreadable_record`, which names the record and the field but no value. */
export function readRecord<T>(schema: z.ZodType<T>, raw: string, what: string): T {
  const result = schema.safeParse(parseJson(raw));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.length
    ? `its field ${issue.path.join('.')} is wrong`
    : 'it is no object';
  throw new TenantError('unreadable_record', `the record of ${what} cannot be read: ${where}`);
}

function parseJson(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}
