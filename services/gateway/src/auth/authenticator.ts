import { createHash, timingSafeEqual } from 'node:crypto';

/** Says whether a key may open sessions. */
export interface Authenticator {
  accepts(apiKey: string): boolean;
}

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}

/** One key for everyone. An empty server key locks everyone out. Compares digests, so that time tells nothing. */
export function singleKeyAuthenticator(serverKey: string): Authenticator {
  const expected = digest(serverKey);
  return { accepts: (apiKey) => timingSafeEqual(digest(apiKey), expected) && serverKey !== '' };
}
