import { lookup as dnsLookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP } from 'node:net';
import { VoiceError } from '@voice-fleet/protocol/errors';

/** Finds the addresses of a host. */
export type Resolve = (host: string) => Promise<readonly { address: string }[]>;

export interface UrlRules {
  /**
   * `host`, `*.domain`, or either with `:port`; `*` is any host. With `!` before it, the host may also be one of a private network,
   * and be spoken to without TLS.
   */
  readonly allow: readonly string[];
  readonly resolve?: Resolve;
}

/** A URL that was looked at: what is dialled is the address, not the name a second time. */
export interface GuardedUrl {
  readonly url: URL;
  readonly address: string;
}

const PRIVATE = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  PRIVATE.addSubnet(net, bits, 'ipv4');

/** What the internet routes to in IPv6; inside it, what is set apart or carries an IPv4 address. */
const PUBLIC6 = new BlockList();
PUBLIC6.addSubnet('2000::', 3, 'ipv6');
const PRIVATE6 = new BlockList();
for (const [net, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  PRIVATE6.addSubnet(net, bits, 'ipv6');

/** Whether an address leads out, to the internet. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !PRIVATE.check(address, 'ipv4');
    case 6:
      return PUBLIC6.check(address, 'ipv6') && !PRIVATE6.check(address, 'ipv6');
    default:
      return false;
  }
}

const resolveHost: Resolve = (host) => dnsLookup(host, { all: true });

/** URLs that clients name and that this process asks for. */
export class UrlGuard {
  readonly #rules: readonly Rule[];
  readonly #resolve: Resolve;

  /** Throws RangeError for a rule that is none. */
  constructor({ allow, resolve = resolveHost }: UrlRules) {
    this.#rules = allow.map(parseRule);
    this.#resolve = resolve;
  }

  /** Whether any URL at all may pass. */
  get open(): boolean {
    return this.#rules.length > 0;
  }

  /** Throws VoiceError url_refused for what may not be asked for, without looking it up: `check` does so too. */
  look(text: string): URL {
    return this.#look(text).url;
  }

  /** The URL with an address of its host. Rejects with VoiceError url_refused. */
  async check(text: string): Promise<GuardedUrl> {
    const { url, trusted } = this.#look(text);
    const host = bare(url.hostname);
    const found = isIP(host) ? [{ address: host }] : await this.#resolve(host).catch(() => []);
    const [first] = found;
    if (!first) throw refused(`The host ${host} was not found.`);
    // All of them: a name with one good address and one bad is no mistake.
    if (!trusted && !found.every(({ address }) => isPublicAddress(address)))
      throw refused(`The host ${host} is not on the internet.`);
    return { url, address: first.address };
  }

  #look(text: string): { url: URL; trusted: boolean } {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
      throw refused('The URL must begin with https://.');
    if (url.username !== '' || url.password !== '')
      throw refused('The URL must not hold a user or password.');
    const rules = this.#rules.filter((rule) => matches(rule, url));
    if (rules.length === 0)
      throw refused(`URLs of ${bare(url.hostname)} are not allowed here. Ask the operator.`);
    const trusted = rules.some((rule) => rule.trusted);
    if (url.protocol === 'http:' && !trusted) throw refused('The URL must begin with https://.');
    return { url, trusted };
  }
}

interface Rule {
  readonly host: string;
  readonly port: string;
  readonly trusted: boolean;
}

const RULE = /^(!?)(\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/;

function parseRule(text: string): Rule {
  const [, mark = '', host = '', port = ''] = RULE.exec(text.toLowerCase()) ?? [];
  if (host === '')
    throw new RangeError(`${JSON.stringify(text)} is no host, *.domain or host:port`);
  return { host: bare(host), port, trusted: mark === '!' };
}

function matches({ host, port }: Rule, url: URL): boolean {
  const usual = url.protocol === 'https:' ? '443' : '80';
  const given = url.port || usual;
  // A rule without a port means that of the scheme, not all that listens on the host.
  if (given !== (port || usual)) return false;
  // A dot behind a name makes it no other name.
  const name = bare(url.hostname).replace(/\.$/, '');
  if (host === '*') return true;
  return host.startsWith('*.') ? name.endsWith(host.slice(1)) : name === host;
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

function refused(message: string): VoiceError {
  return new VoiceError('url_refused', { message });
}

export interface GuardedRequest {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends the request, its answer included. */
  readonly signal: AbortSignal;
}

/** Asks the address that was looked at. The answer is not read yet; it is the caller's to read or destroy. No redirect is followed. */
export function guardedRequest(
  { url, address }: GuardedUrl,
  { method = 'GET', headers = {}, body, signal }: GuardedRequest,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const family = isIP(address);
    const request = send(url, {
      method,
      headers,
      signal,
      // A connection of its own: a kept one might lead to an address that was not looked at.
      agent: false,
      lookup: (_host, options, found) => {
        if (options.all) found(null, [{ address, family }]);
        else found(null, address, family);
      },
    });
    request.once('response', resolve);
    request.once('error', reject);
    request.end(body);
  });
}

const REDIRECTS_MAX = 3;
const REDIRECT = new Set([301, 302, 303, 307, 308]);

/**
 * What a URL leads to, redirects followed and each looked at. Rejects with VoiceError url_refused for what may not be asked for,
 * and url_failed when nothing can be had there.
 */
export async function guardedFetch(
  guard: UrlGuard,
  text: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  let at = text;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const target = await guard.check(at);
    const response = await guardedRequest(target, { signal }).catch((error: unknown) => {
      throw new VoiceError('url_failed', { cause: error });
    });
    const { statusCode = 0, headers } = response;
    if (statusCode === 200) return response;
    response.destroy();
    if (!REDIRECT.has(statusCode) || headers.location === undefined) {
      throw new VoiceError('url_failed', {
        message: `The URL was answered with status ${statusCode}.`,
      });
    }
    if (!URL.canParse(headers.location, target.url.href))
      throw new VoiceError('url_failed', { message: 'The URL leads to one that is not valid.' });
    at = new URL(headers.location, target.url).href;
  }
  throw new VoiceError('url_failed', { message: 'The URL leads on too often.' });
}
