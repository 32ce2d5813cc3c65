import { createHmac, timingSafeEqual } from 'node:crypto';

/** A webhook as it is sent once more: the same id and body, another time. */
export interface SignedEvent {
  readonly id: string;
  readonly body: string;
  readonly nowMs: number;
}

/** The secret of a tenant, derived from one of the fleet: one that leaks signs for no other tenant. Standard Webhooks write it so. */
export function tenantSecret(fleetSecret: string, tenantId: string): string {
  const key = createHmac('sha256', fleetSecret).update(`webhooks:${tenantId}`).digest('base64');
  return `whsec_${key}`;
}

/**
 * The headers of a webhook as Standard Webhooks want them. Each secret is `whsec_` and base64, and signs: while one takes the place of
 * another, receivers may know either.
 */
export function webhookHeaders(
  secrets: readonly string[],
  { id, body, nowMs }: SignedEvent,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signatures = secrets.map((secret) => `v1,${signed(secret, id, timestamp, body)}`);
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}

/** `late`: sent, or heard, too long ago to be no repeat; `wrong`: not signed with any of the secrets. */
export type Verdict = 'valid' | 'incomplete' | 'late' | 'wrong';

export interface WebhookToVerify {
  /** Names in lower case, as Node has them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** As it came: JSON that was parsed and written again is another body. */
  readonly body: string | Uint8Array;
}

/** For whoever receives webhooks. Its clock may differ from the sender's by `toleranceS`. */
export function verifyWebhook(
  { headers, body }: WebhookToVerify,
  secrets: readonly string[],
  { nowMs = Date.now(), toleranceS = 300 }: { nowMs?: number; toleranceS?: number } = {},
): Verdict {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string')
    return 'incomplete';
  if (!/^\d{1,12}$/.test(timestamp)) return 'incomplete';
  const given = signatures
    .split(' ')
    .filter((signature) => signature.startsWith('v1,'))
    .map((signature) => Buffer.from(signature.slice(3), 'base64'));
  const own = secrets.map((secret) => Buffer.from(signed(secret, id, timestamp, body), 'base64'));
  const known = own.some((one) => given.some((other) => same(one, other)));
  if (!known) return 'wrong';
  const ageS = Math.floor(nowMs / 1000) - Number(timestamp);
  return Math.abs(ageS) > toleranceS ? 'late' : 'valid';
}

function signed(secret: string, id: string, timestamp: string, body: string | Uint8Array): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.byteLength === other.byteLength && timingSafeEqual(one, other);
}
