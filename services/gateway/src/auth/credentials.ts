import type { IncomingHttpHeaders } from 'node:http';

/** The key of an HTTP request: X-API-Key, else Authorization: Bearer, else ''. */
export function credentialOf(headers: IncomingHttpHeaders): string {
  const apiKey = headers['x-api-key'];
  if (typeof apiKey === 'string' && apiKey !== '') return apiKey;
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}
