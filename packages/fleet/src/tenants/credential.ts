import { createHash, randomBytes } from 'node:crypto';

/** `key`: `vf_<id>_<secret>`, held by a tenant's servers. `token`: `vft_<id>_<secret>`, short-lived, for clients. */
export type CredentialKind = 'key' | 'token';

/** Names a credential without its secret. */
export interface CredentialRef {
  readonly kind: CredentialKind;
  readonly id: string;
}

export interface Credential extends CredentialRef {
  readonly secret: string;
}

const ID_BYTES = 8;
const SECRET_BYTES = 32;
const PREFIX = { key: 'vf', token: 'vft' } as const satisfies Record<CredentialKind, string>;
/** The id holds no underscore, so the first one behind it ends it, whatever the secret holds. OpenAI's clients want `ek_` before it. */
const CREDENTIAL = /^(?:ek_(?=vft_))?(vft?)_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;
const LENGTH_MAX = 'ek_vft__'.length + 2 * ID_BYTES + 43;

/** Undefined for whatever is not written like one of ours; costs the same for a megabyte as for a line. */
export function parseCredential(text: string): Credential | undefined {
  if (text.length > LENGTH_MAX) return undefined;
  const [, prefix, id, secret] = CREDENTIAL.exec(text) ?? [];
  if (id === undefined || secret === undefined) return undefined;
  return { kind: prefix === PREFIX.key ? 'key' : 'token', id, secret };
}

export function newCredential(kind: CredentialKind): Credential {
  return {
    kind,
    id: randomBytes(ID_BYTES).toString('hex'),
    secret: randomBytes(SECRET_BYTES).toString('base64url'),
  };
}

/** What its holder sends. The only place where it can be had whole is where it was made. */
export function formatCredential({ kind, id, secret }: Credential): string {
  return `${PREFIX[kind]}_${id}_${secret}`;
}

/** The part of a key that may be shown and searched for. */
export function keyPrefix(keyId: string): string {
  return `${PREFIX.key}_${keyId}_`;
}

/** SHA-256, without salt or rounds: the secret has 256 random bits, there is nothing to guess. */
export function secretDigest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
