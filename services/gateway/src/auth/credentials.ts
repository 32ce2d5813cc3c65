import type { IncomingHttpHeaders } from 'node:http';

/** The key of an HTTP request: X-API-Key, else Authorization: Bearer, else ''. */
export function credentialOf(headers: IncomingHttpHeaders): string {
  const apiKey = headers['x-api-key'];
  if (typeof apiKey === 'string' && apiKey !== '') return apiKey;
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}

/** Subprotocols that carry a key themselves, and those that are followed by one. */
const KEY_PROTOCOL = /^openai-insecure-api-key\.(\S+)$/;
const KEY_FOLLOWS = /^(?:token|bearer)$/i;

/**
 * The key of an upgrade, wherever clients of other services put it: `Authorization` with Bearer, Token or nothing before the
 * key, X-API-Key, Xi-Api-Key, Api-Key, a subprotocol, else `?token=` or `?api_key=`. '' when there is none.
 */
export function credentialOfUpgrade(query: URLSearchParams, headers: IncomingHttpHeaders): string {
  const authorization = /^(?:(?:Bearer|Token) +)?(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (authorization !== undefined) return authorization;
  for (const name of ['x-api-key', 'xi-api-key', 'api-key']) {
    const value = headers[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return keyAmongProtocols(headers) || query.get('token') || query.get('api_key') || '';
}

function keyAmongProtocols(headers: IncomingHttpHeaders): string | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
  for (const [at, one] of offered.entries()) {
    const key =
      KEY_PROTOCOL.exec(one)?.[1] ?? (KEY_FOLLOWS.test(one) ? offered[at + 1] : undefined);
    if (key) return key;
  }
  return undefined;
}
