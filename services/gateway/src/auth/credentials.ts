import type { IncomingHttpHeaders } from 'node:http';

/** Where clients put a key that is not in `Authorization`; the first is our own. */
const KEY_HEADERS = ['x-api-key', 'xi-api-key', 'api-key'];
const AUTHORIZATION = /^(?:(?:Bearer|Token) +)?(\S+) *$/i;

/**
 * The key of an HTTP request: X-API-Key, `Authorization` with Bearer, Token or nothing before the key, else Xi-Api-Key or
 * Api-Key; '' when there is none.
 */
export function credentialOf(headers: IncomingHttpHeaders): string {
  const [own = '', ...others] = KEY_HEADERS.map((name) => textOf(headers[name]));
  return own || ofAuthorization(headers) || others.find((key) => key !== '') || '';
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : '';
}

function ofAuthorization({ authorization = '' }: IncomingHttpHeaders): string {
  const key = AUTHORIZATION.exec(authorization)?.[1] ?? '';
  // A scheme without a key.
  return /^(?:Bearer|Token|Basic)$/i.test(key) ? '' : key;
}

/** Subprotocols that carry a key themselves, and those that are followed by one. */
const KEY_PROTOCOL = /^openai-insecure-api-key\.(\S+)$/;
const KEY_FOLLOWS = /^(?:token|bearer)$/i;

/**
 * The key of an upgrade, wherever clients of other services put it: `Authorization` with Bearer, Token or nothing before the
 * key, X-API-Key, Xi-Api-Key, Api-Key, a subprotocol, else `?token=` or `?api_key=`. '' when there is none.
 */
export function credentialOfUpgrade(query: URLSearchParams, headers: IncomingHttpHeaders): string {
  const authorization = ofAuthorization(headers);
  if (authorization !== '') return authorization;
  for (const name of KEY_HEADERS) {
    const key = textOf(headers[name]);
    if (key !== '') return key;
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
