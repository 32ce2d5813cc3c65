/**
 * Keys of sessions and of usage. The braces make `sessions` the cluster hash tag of all of them, since a save writes a session
 * and books its audio in one step. All have a Redis TTL, so Redis must not evict (`maxmemory-policy noeviction`, its default).
 */
const PREFIX = 'vf:{sessions}:';

/** What Redis has of one resumable session, for the TTL of a SessionStore after its last sign of life. */
export interface SessionKeys {
  /**
   * hash: owner, save (number of its last), token and before (hashes of the next token and of the last one used), confirmed (0: the client
   * may not have got `token`), tenant, key, lease, accepted, seq, bytes (of the frames), chars (of the text), state. After the end: owner, ended.
   */
  readonly record: string;
  /** list of encoded frames; the last one has the number `seq`. Bounded in number and bytes by SessionStore. */
  readonly frames: string;
  /** string, text of the open utterance as the inside of a JSON string. As long as an utterance is. */
  readonly text: string;
}

export function sessionKeys(fleet: string, sessionId: string): SessionKeys {
  const key = (name: string): string => `${PREFIX}${fleet}:${name}:${sessionId}`;
  return { record: key('session'), frames: key('frames'), text: key('text') };
}

/** hash: samples booked of one session, and the day of the last ones. For 48 h after the last charge. */
export function chargedKey(sessionId: string): string {
  return `${PREFIX}charged:${sessionId}`;
}

/**
 * hash: `samples` of a tenant in one UTC day, and for each key `samples:<key id>` and `sessions:<key id>`. For 400 days.
 * Grows with the keys that a tenant uses in a day.
 */
export function usageKey(tenantId: string, day: string): string {
  return `${PREFIX}usage:${tenantId}:${day}`;
}
