import { createHash, randomBytes } from 'node:crypto';

/** 144 bits, 24 characters. */
const SECRET_BYTES = 18;
const TOKEN = /^([\w-]{1,128})\.[\w-]{24}$/;

/** The session's id, which its client knows anyway and which finds the record, and a secret. */
export function newResumeToken(sessionId: string): string {
  return `${sessionId}.${randomBytes(SECRET_BYTES).toString('base64url')}`;
}

/** `undefined` for what cannot be a token. */
export function sessionOfToken(token: string): string | undefined {
  return TOKEN.exec(token)?.[1];
}

/** What is stored of a token. A plain digest, as nobody can guess the secret. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
