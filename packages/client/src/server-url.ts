import { YAP_PATH } from '@voice-fleet/protocol/yap';

const SCHEMES: Readonly<Record<string, 'ws:' | 'wss:'>> = {
  'ws:': 'ws:',
  'http:': 'ws:',
  'wss:': 'wss:',
  'https:': 'wss:',
};

/** Reads `host:port`, `ws(s)://…` or `http(s)://…`; a URL without a path gets `path`, by default that of the yap dialect. */
export function parseServerUrl(server: string, secure = false, path: string = YAP_PATH): URL {
  const text = server.trim();
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const candidate = hasScheme ? text : `${secure ? 'wss' : 'ws'}://${text}`;
  if (text === '' || !URL.canParse(candidate)) throw invalid(server);
  const source = new URL(candidate);
  const scheme = SCHEMES[source.protocol];
  if (scheme === undefined || source.hostname === '') throw invalid(server);
  const full = source.pathname === '/' ? path : source.pathname;
  return new URL(`${secure ? 'wss:' : scheme}//${source.host}${full}${source.search}`);
}

/** The address as it may be printed: a key in the query stays secret. */
export function printableUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The same addresses, each session beginning with another. */
export function turned(urls: readonly [URL, ...URL[]], by: number): [URL, ...URL[]] {
  const [first, ...rest] = [...urls, ...urls].slice(by % urls.length).slice(0, urls.length);
  return [first ?? urls[0], ...rest];
}

function invalid(server: string): Error {
  return new Error(
    `"${server}" is not a server address. Give host:port, ws(s)://host[:port] or http(s)://host[:port].`,
  );
}
